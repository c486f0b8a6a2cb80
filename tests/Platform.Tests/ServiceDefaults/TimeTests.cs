using System.Text.Json;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class TimeTests
{
    [Theory]
    [InlineData("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.0000000+00:00")]
    [InlineData("2026-03-01t12:00:00z", "2026-03-01T12:00:00.0000000+00:00")]
    [InlineData("2026-03-01T12:00:00.123456+05:30", "2026-03-01T12:00:00.1234560+05:30")]
    [InlineData("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.1234568+00:00")]
    [InlineData("1985-04-12T23:20:50.52-00:00", "1985-04-12T23:20:50.5200000+00:00")]
    public void A_time_with_an_offset_is_read(string text, string time)
    {
        Assert.True(Rfc3339Time.TryParse(text, out var parsed));
        Assert.Equal(time, parsed.Value.ToString("O"));
        Assert.Equal(parsed.Value, JsonSerializer.Deserialize<DateTimeOffset>($"\"{text}\"", Wave16Json.Options));
    }

    [Theory]
    [InlineData("2026-03-01T12:00:00")]
    [InlineData("2026-03-01T12:00Z")]
    [InlineData("2026-03-01")]
    [InlineData("2026-03-01 12:00:00Z")]
    [InlineData("2026-13-01T12:00:00Z")]
    [InlineData("2026-03-01T12:00:00+0100")]
    [InlineData("2026-03-01T12:00:00+24:00")]
    [InlineData("2026-03-01T12:00:60Z")]
    [InlineData("2026-03-01T12:00:00Z\n")]
    [InlineData(" 2026-03-01T12:00:00Z")]
    [InlineData("٢٠٢٦-03-01T12:00:00Z")]
    [InlineData("0001-01-01T00:00:00+14:00")]
    [InlineData("")]
    public void Anything_else_is_not_a_time(string text)
    {
        Assert.False(Rfc3339Time.TryParse(text, out _));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<DateTimeOffset>(JsonSerializer.Serialize(text), Wave16Json.Options));
    }
}
