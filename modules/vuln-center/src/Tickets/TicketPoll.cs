using Wave16.Platform.Store;
using Wave16.Platform.Work;

namespace Wave16.VulnCenter.Tickets;

/// <summary>
/// Asks integration-hub now and then which state an open ticket is in: after a webhook that never came it would be stale for ever. The generation
/// is the time at which the poll was set, in milliseconds, so that of two settings the later one counts.
/// </summary>
internal sealed class TicketPoll(TicketDesk desk) : IDueHandler
{
    public const string Kind = "ticket-poll";

    public Task HandleAsync(DueItem item, CancellationToken cancellation) => desk.PollAsync(item.Tenant, Guid.ParseExact(item.Entity, "D"), item.Generation, cancellation);

    /// <param name="next">Null: not again.</param>
    /// <param name="after">Generation of the poll that this one comes after; 0: of none.</param>
    public static DueChange At(DateTimeOffset? next, DateTimeOffset now, long after = 0) => new(Kind, Math.Max(after + 1, now.ToUnixTimeMilliseconds()), next);
}
