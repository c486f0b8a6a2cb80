using Amqp;

namespace Wave16.Platform.Events.Amqp;

/// <summary>An event in hand, and the message it came in.</summary>
/// <param name="Link">On which it came, and is settled.</param>
/// <param name="Message">To be settled.</param>
/// <param name="Envelope">What it says.</param>
/// <param name="At">When it came, as a timestamp of the clock.</param>
internal sealed record Received(ReceivingLink Link, Message Message, EventEnvelope Envelope, long At)
{
    public SubjectOfSource Subject => new(Envelope.Source, Envelope.TenantId, Envelope.Subject);
}

/// <summary>Of what is equal in this, one event at a time is handled.</summary>
internal readonly record struct SubjectOfSource(string Source, string Tenant, string Id);
