using Amqp;
using Amqp.Framing;
using CsCheck;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

public sealed class EventMessageTests
{
    internal static readonly EventEnvelope Sample = new()
    {
        Id = "epoch:t/thing/1:2:0",
        Source = "tests",
        Type = "wave16.tests.thing-happened.v1",
        Subject = "1",
        Time = new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero).AddTicks(1234560),
        TenantId = "t",
        EntityVersion = 2,
        TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        Data = """{"text":"é 😀"}""",
    };

    [Fact]
    public void An_event_comes_back_as_it_went() =>
        Gen.Select(Gen.String[1, 300], Gen.String[1, 50], Gen.Int, Gen.DateTimeOffset).Sample((id, subject, version, time) =>
        {
            var sent = Sample with { Id = id, Subject = subject, EntityVersion = version, Time = time, TraceParent = null };
            return EventMessage.Decode(Wire(EventMessage.Encode(sent))) == sent;
        });

    [Fact]
    public void It_travels_as_the_AMQP_binding_of_CloudEvents_says_in_binary_mode()
    {
        var message = Wire(EventMessage.Encode(Sample));

        Assert.True(message.Header.Durable);
        Assert.Equal(Sample.Id, message.Properties.MessageId);
        Assert.Equal(Sample.Type, message.Properties.Subject);
        Assert.Equal("application/json", message.Properties.ContentType);
        Assert.Equal("1.0", message.ApplicationProperties["cloudEvents:specversion"]);
        Assert.Equal(Sample.Source, message.ApplicationProperties["cloudEvents:source"]);
        Assert.Equal(2, message.ApplicationProperties["cloudEvents:entityversion"]);
        Assert.Equal(Sample.TraceParent, message.ApplicationProperties["cloudEvents:traceparent"]);
        Assert.Equal("é 😀", System.Text.Json.JsonDocument.Parse(Assert.IsType<byte[]>(message.Body)).RootElement.GetProperty("text").GetString());
    }

    [Fact]
    public void The_other_prefix_native_types_and_several_data_sections_are_understood()
    {
        var message = EventMessage.Encode(Sample);
        var other = new ApplicationProperties();
        foreach (var (key, value) in message.ApplicationProperties.Map)
        {
            other[((string)key).Replace("cloudEvents:", "cloudEvents_", StringComparison.Ordinal)] = value;
        }

        other["cloudEvents_time"] = new DateTime(2026, 3, 1, 12, 0, 0, DateTimeKind.Utc);
        other["cloudEvents_entityversion"] = "2";
        message.ApplicationProperties = other;
        var several = new DataList();
        several.Add(new Data { Binary = "{\"a\""u8.ToArray() });
        several.Add(new Data { Binary = ":1}"u8.ToArray() });
        message.BodySection = several;

        Assert.Equal(Sample with { Time = new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero), Data = "{\"a\":1}" }, EventMessage.Decode(message));
    }

    [Fact]
    public void Structured_mode_is_understood()
    {
        var message = new Message
        {
            Properties = new Properties { ContentType = EventFormat.StructuredMediaType },
            BodySection = new Data { Binary = EventFormat.Encode(Sample).ToArray() },
        };

        Assert.Equal(Sample, EventMessage.Decode(message));
    }

    [Fact]
    public void An_id_that_is_too_long_for_a_broker_is_hashed_in_the_envelope_and_whole_in_the_event()
    {
        var message = EventMessage.Encode(Sample with { Id = new string('x', 1000) });

        Assert.Equal(64, message.Properties.MessageId.Length);
        Assert.Equal(new string('x', 1000), EventMessage.Decode(message).Id);
    }

    [Fact]
    public void What_is_no_event_is_refused_with_a_reason_that_does_not_quote_the_data()
    {
        foreach (var (name, hostile) in Hostile())
        {
            var refused = Assert.Throws<FormatException>(() => EventMessage.Decode(Wire(hostile)));
            Assert.True(refused.Message.Length < 300, name);
            Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Messages that any publisher with access could send.</summary>
    internal static IEnumerable<(string Name, Message Message)> Hostile()
    {
        yield return ("nothing but text", new Message("secret"));
        yield return ("a map", new Message(new global::Amqp.Types.Map { ["secret"] = 1 }));
        yield return ("no attributes", new Message { BodySection = new Data { Binary = "{}"u8.ToArray() } });
        yield return ("wrong types", With(message =>
        {
            message.ApplicationProperties["cloudEvents:id"] = 7;
            message.ApplicationProperties["cloudEvents:subject"] = true;
        }));
        yield return ("an empty subject", With(message => message.ApplicationProperties["cloudEvents:subject"] = ""));
        yield return ("a time that is none", With(message => message.ApplicationProperties["cloudEvents:time"] = "yesterday"));
        yield return ("a version that is none", With(message => message.ApplicationProperties["cloudEvents:entityversion"] = 1.5));
        yield return ("another CloudEvents", With(message => message.ApplicationProperties["cloudEvents:specversion"] = "0.3"));
        yield return ("a megabyte", With(message => message.BodySection = new Data { Binary = [.. "{\"secret\":\""u8, .. Enumerable.Repeat((byte)'x', 1 << 20), .. "\"}"u8] }));
        yield return ("deep JSON", With(message => message.BodySection = new Data { Binary = [.. Enumerable.Repeat((byte)'[', 10_000), .. Enumerable.Repeat((byte)']', 10_000)] }));
        yield return ("no JSON", With(message => message.BodySection = new Data { Binary = "<secret/>"u8.ToArray() }));
        yield return ("no UTF-8", With(message => message.BodySection = new Data { Binary = [.. "\""u8, 0xff, 0xfe, .. "\""u8] }));
        yield return ("an empty body", With(message => message.BodySection = new Data { Binary = [] }));
        yield return ("another content type", With(message => message.Properties.ContentType = "application/x-secret-no"[..14]));
        yield return ("structured and broken", With(message =>
        {
            message.Properties.ContentType = EventFormat.StructuredMediaType;
            message.BodySection = new Data { Binary = "{\"specversion\":\"1.0\"}"u8.ToArray() };
        }));

        static Message With(Action<Message> change)
        {
            var message = EventMessage.Encode(Sample);
            change(message);
            return message;
        }
    }

    private static Message Wire(Message message) => Message.Decode(message.Encode());
}
