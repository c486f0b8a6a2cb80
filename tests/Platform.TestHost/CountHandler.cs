using Wave16.Platform.Events;
using Wave16.Platform.Store;

namespace Wave16.Platform.TestHost;

/// <summary>A consumer whose effect shows every repetition and every gap: it counts each event once, in the order of versions.</summary>
internal sealed class CountHandler(TestStore consumer) : IEventHandler
{
    public const string Name = "counters/mirror";

    public string Consumer => Name;

    public IReadOnlyCollection<string> Types { get; } = [TestStore.Counted];

    public async Task HandleAsync(EventEnvelope envelope, string commandId, CancellationToken cancellation)
    {
        if (!await consumer.CountAsync(envelope.TenantId, envelope.Subject, envelope.EntityVersion, commandId)
            && await CommandAnswers.FindAsync(consumer.Database, envelope.TenantId, $"counter/{envelope.Subject}", commandId, cancellation) is null)
        {
            throw new InvalidOperationException($"{envelope.Subject} {envelope.EntityVersion} came out of order.");
        }
    }
}
