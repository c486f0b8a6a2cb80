namespace Wave16.Platform.Work;

/// <summary>A deadline that has come.</summary>
/// <param name="Tenant">Of the entity.</param>
/// <param name="Kind">What is due: <c>sla-breach</c>.</param>
/// <param name="Entity">Id of the entity that set it.</param>
/// <param name="Generation">As the entity set it; one it has since passed means: nothing to do.</param>
/// <param name="DueAt">When it was due. After an outage that can be long ago.</param>
/// <param name="Attempt">1 for the first.</param>
public sealed record DueItem(string Tenant, string Kind, string Entity, long Generation, DateTimeOffset DueAt, int Attempt);

/// <summary>Brings a deadline to its entity, which decides and saves. Made anew, in its own scope, for every item.</summary>
/// <remarks>
/// The save removes or moves the deadline (<see cref="Store.DueChange"/>). Returning says that the entity has decided: a deadline of
/// this generation that is still there then is void, and removed. Throwing says that it has not: it comes again later. An item
/// can come twice (a process died between the save and here), so the entity looks at the generation. An entity's deadlines
/// come one after the other in the order they are due; one that keeps failing holds up those after it, and no other entity's.
/// </remarks>
public interface IDueHandler
{
    Task HandleAsync(DueItem item, CancellationToken cancellation);
}
