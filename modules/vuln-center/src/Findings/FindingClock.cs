using Wave16.Platform.Store;
using Wave16.Platform.Work;

namespace Wave16.VulnCenter.Findings;

/// <summary>
/// The next moment a finding waits for, as due work. Its generation is the version that set it, so of two settings the later
/// one counts.
/// </summary>
internal sealed class FindingClock(IGrainFactory grains) : IDueHandler
{
    public const string Kind = "finding";

    public async Task HandleAsync(DueItem item, CancellationToken cancellation) =>
        await grains.GetGrain<IFindingGrain>(FindingKey.Of(item.Tenant, Guid.ParseExact(item.Entity, "D"))).ComeDue(cancellation);

    /// <summary>What a change does to the deadline; null: nothing.</summary>
    public static DueChange? Of(FindingState? before, FindingState after) => before?.NextMoment == after.NextMoment
        ? null
        : new DueChange(Kind, after.Version, after.NextMoment);
}
