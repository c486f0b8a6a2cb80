using System.Text;
using System.Text.Json;
using CsCheck;
using Wave16.Platform.Events;

namespace Wave16.Platform.Tests.Events;

public sealed class EventFormatTests
{
    private static readonly EventEnvelope Sample = new()
    {
        Id = "0123456789ab:t/finding/f1:7:0",
        Source = "vuln-center",
        Type = "wave16.vuln-center.finding-triaged.v1",
        Subject = "f1",
        Time = new DateTimeOffset(2026, 3, 1, 12, 0, 0, 123, TimeSpan.Zero),
        TenantId = "tenant-a",
        EntityVersion = 7,
        TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        Data = """{"severity":"critical","text":"é 😀 <&>"}""",
    };

    [Fact]
    public void Structured_mode_has_every_attribute_by_its_CloudEvents_name()
    {
        var json = JsonElement.Parse(EventFormat.Encode(Sample).Span);

        Assert.Equal("""
            {"specversion":"1.0","id":"0123456789ab:t/finding/f1:7:0","source":"vuln-center","type":"wave16.vuln-center.finding-triaged.v1","datacontenttype":"application/json","entityversion":7,"subject":"f1","tenantid":"tenant-a","time":"2026-03-01T12:00:00.123Z","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","data":{"severity":"critical","text":"é 😀 <&>"}}
            """,
            "{" + string.Join(',', json.EnumerateObject().OrderBy(Order).ThenBy(member => member.Name, StringComparer.Ordinal).Select(member => $"\"{member.Name}\":{member.Value.GetRawText()}")) + "}");

        static int Order(JsonProperty member) => Array.IndexOf(["specversion", "id", "source", "type"], member.Name) is >= 0 and var first ? first
            : member.Name == "data" ? 9 : 5;
    }

    [Fact]
    public void What_was_encoded_decodes_to_the_same()
    {
        Assert.Equal(Sample, EventFormat.Decode(EventFormat.Encode(Sample)));
        Assert.Equal([Sample, Sample with { Id = "2" }], EventFormat.DecodeBatch(EventFormat.EncodeBatch([Sample, Sample with { Id = "2" }])));
    }

    [Theory]
    [InlineData("")]
    [InlineData("not json")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"specversion":"1.0"}""")]
    [InlineData("""{"specversion":"0.3","id":"1","source":"s","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}}""")]
    [InlineData("""{"specversion":"1.0","id":"","source":"s","type":"t","subject":"x","time":"2026-03-01T12:00:00Z","tenantid":"t","entityversion":1,"data":{}}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x","time":"yesterday","tenantid":"t","entityversion":1,"data":{}}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x","time":"2026-03-01T12:00:00Z","tenantid":"t","entityversion":"one","data":{}}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x","time":"2026-03-01T12:00:00Z","tenantid":"t","entityversion":1,"data_base64":"AAAA"}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x","time":"2026-03-01T12:00:00Z","tenantid":"t","entityversion":1,"data":{}""")]
    [InlineData("""{"specversion":"1.0","id":1,"source":"s","type":"t","subject":"x","time":"2026-03-01T12:00:00Z","tenantid":"t","entityversion":1,"data":{}}""")]
    public void What_is_not_one_of_our_events_is_a_FormatException(string json) =>
        Assert.Throws<FormatException>(() => EventFormat.Decode(Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void What_nests_without_end_is_a_FormatException() =>
        Assert.Throws<FormatException>(() => EventFormat.Decode(Encoding.UTF8.GetBytes(
            """{"specversion":"1.0","id":"1","source":"s","type":"t","data":""" + new string('[', 100_000))));

    [Fact]
    public void An_event_that_may_be_raised_takes_64_KiB_at_most_once_it_is_encoded() =>
        // Every kind of text that a JSON writer may escape, in every attribute, up to the limit and beyond.
        Gen.Select(Gen.String[Gen.Char["aZ09 <>&'\"\\\u0001\u00e9\u4e2d\u2028/+`"], 1, 40], Gen.Bool, Gen.Int[EventEnvelope.MaxBytes - 3000, EventEnvelope.MaxBytes]).Sample((unit, emoji, bytes) =>
        {
            var text = emoji ? unit + "😀" : unit;
            var data = JsonSerializer.Serialize(string.Concat(Enumerable.Repeat(text, bytes / Encoding.UTF8.GetByteCount(text))), Relaxed);
            var envelope = Sample with { Id = "e" + text, Subject = text, TenantId = text, EntityVersion = int.MaxValue, Time = DateTimeOffset.MaxValue, Data = data };
            return !IsAllowed(envelope) || EventFormat.Encode(envelope).Length <= EventEnvelope.MaxBytes;
        }, iter: 500);

    [Fact]
    public void An_event_with_60_KiB_of_data_may_be_raised() =>
        Assert.True(IsAllowed(Sample with { Data = $"\"{new string('x', 60 * 1024)}\"" }));

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("{'a':1}")]
    public void Data_that_is_not_JSON_may_not_be_raised(string data) =>
        Assert.ThrowsAny<JsonException>(() => EventEnvelope.Check("1", "s", "t", "x", "t", data));

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static bool IsAllowed(EventEnvelope envelope)
    {
        try
        {
            EventEnvelope.Check(envelope.Id, envelope.Source, envelope.Type, envelope.Subject, envelope.TenantId, envelope.Data);
            return true;
        }
        catch (EventTooLargeException)
        {
            return false;
        }
    }
}
