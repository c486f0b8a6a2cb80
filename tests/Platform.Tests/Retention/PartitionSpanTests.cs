using System.Globalization;
using Wave16.Platform.Retention;

namespace Wave16.Platform.Tests.Retention;

public sealed class PartitionSpanTests
{
    [Theory]
    [InlineData(PartitionSpan.Day, "2026-11-27", "2026-11-28")]
    [InlineData(PartitionSpan.Week, "2026-11-23", "2026-11-30")]
    [InlineData(PartitionSpan.Month, "2026-11-01", "2026-12-01")]
    public void A_span_is_a_day_a_week_from_Monday_or_a_month_in_UTC(PartitionSpan span, string from, string to)
    {
        var at = new DateTimeOffset(2026, 11, 28, 1, 30, 0, TimeSpan.FromHours(2));

        Assert.Equal((At(from), At(to)), (span.StartOf(at), span.EndOf(at)));
    }

    [Theory]
    [InlineData("2026-11-23", PartitionSpan.Week, "2026-11-23")]
    [InlineData("2026-11-29", PartitionSpan.Week, "2026-11-23")]
    public void Monday_and_Sunday_are_of_one_week(string at, PartitionSpan span, string from) => Assert.Equal(At(from), span.StartOf(At(at)));

    [Fact]
    public void What_is_there_is_not_missing_and_what_lies_between_is() => Assert.Equal(
        ["2026-11-27 2026-11-28", "2026-11-30 2026-12-01"],
        Missing(PartitionSpan.Day, "2026-11-27", "2026-12-01", ("2026-11-28", "2026-11-30")));

    [Fact]
    public void Partitions_of_another_span_are_kept_and_filled_up_around() => Assert.Equal(
        ["2026-11-23 2026-11-25", "2026-11-26 2026-11-30", "2026-11-30 2026-12-07"],
        Missing(PartitionSpan.Week, "2026-11-27", "2026-12-01", ("2026-11-25", "2026-11-26")));

    private static IEnumerable<string> Missing(PartitionSpan span, string from, string until, params (string From, string To)[] there) =>
        span.Missing([.. there.Select(range => new PartitionRange("p", At(range.From), At(range.To)))], At(from), At(until))
            .Select(range => $"{range.From:yyyy-MM-dd} {range.To:yyyy-MM-dd}");

    private static DateTimeOffset At(string day) => DateTimeOffset.Parse(day, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
}
