using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events;

/// <param name="Replayed">How many dead letters are in the outbox again.</param>
/// <param name="More">There may be more than were taken at once; ask again.</param>
public sealed record ReplayResult(int Replayed, bool More);

/// <summary>One destination of the outbox.</summary>
/// <param name="Destination">Its name.</param>
/// <param name="Status">As this replica sees it: <c>standby</c> (another replica runs the lane), <c>open</c>, <c>paused</c>, <c>probing</c>.</param>
/// <param name="Since">When it entered that status.</param>
/// <param name="Reason">Why it is paused or probing.</param>
/// <param name="Until">When a paused lane tries again.</param>
/// <param name="Pending">Deliveries of the caller's tenant that wait, counted up to 100,000.</param>
/// <param name="Oldest">When the oldest of them was raised.</param>
public sealed record LaneReport(
    string Destination, string Status, DateTimeOffset Since, string? Reason, DateTimeOffset? Until, int Pending, DateTimeOffset? Oldest);

/// <summary>What operators can see and do of a module's outbox: <c>/events/&lt;module&gt;/…</c>.</summary>
internal static class EventEndpoints
{
    public static void MapEvents(this IEndpointRouteBuilder app, string module)
    {
        // Names are unique in the process, which may host several modules.
        string Named(string operation) => $"{operation}_{module.Replace('-', '_')}";
        var events = app.MapGroup($"/events/{module}").WithTags("Outbox");

        events.MapGet("/dead-letters", async Task<Results<Ok<Page<DeadLetter>>, RefusalResult>> (
                PageRequest page, string? destination, Caller caller, IServiceProvider services, CancellationToken cancellation) =>
            {
                if (page.ReadCursor<DeadLetterPosition>(out var after) is { } refusal)
                {
                    return refusal.ToResult();
                }

                var rows = await Letters(services).ListAsync(caller.Tenant, destination, after, page.Limit + 1, cancellation);
                return TypedResults.Ok(page.ToPage(rows, letter => new DeadLetterPosition(letter.DiedAt, letter.Id)));
            })
            .RequireScope(Access.Scopes.DeadLettersRead)
            .WithName(Named("ListDeadLetters")).WithSummary("Lists events that could not be delivered, newest first");

        events.MapPost("/dead-letters/{id:long}/replay", async Task<Results<Ok<ReplayResult>, RefusalResult>> (
                long id, Caller caller, IServiceProvider services, TimeProvider time, CancellationToken cancellation) =>
                await ReplayAsync(services, caller, time, id, null, cancellation) is { Replayed: > 0 } result
                    ? TypedResults.Ok(result)
                    : new Refusal(ProblemCodes.NotFound.Code, "There is no such dead letter, it has been replayed, or its event was not kept.").ToResult())
            .RequireScope(Access.Scopes.DeadLettersReplay)
            .WithName(Named("ReplayDeadLetter")).WithSummary("Delivers one dead letter again")
            .WithDescription("It goes to the end of its subject's queue: events of the subject that came later may have been delivered before it.");

        events.MapPost("/dead-letters/replay", async Task<Results<Ok<ReplayResult>, RefusalResult>> (
                string? destination, Caller caller, IServiceProvider services, TimeProvider time, CancellationToken cancellation) =>
                string.IsNullOrEmpty(destination)
                    ? new Refusal(ProblemCodes.Invalid.Code, "Say which destination's dead letters.", [FieldError.Query("destination", "is required")]).ToResult()
                    : TypedResults.Ok(await ReplayAsync(services, caller, time, null, destination, cancellation)))
            .RequireScope(Access.Scopes.DeadLettersReplay)
            .WithName(Named("ReplayDeadLetters")).WithSummary("Delivers a destination's dead letters again, oldest first, 1000 at a time")
            .WithDescription("They keep their order among themselves, and follow what is already waiting.");

        events.MapGet("/outbox", async (Caller caller, IServiceProvider services, CancellationToken cancellation) =>
            {
                var backlog = (await Letters(services).BacklogAsync(caller.Tenant, cancellation)).ToDictionary(lane => lane.Destination, StringComparer.Ordinal);
                return TypedResults.Ok(services.GetRequiredKeyedService<OutboxDispatcher>(module).Lanes
                    .OrderBy(lane => lane.Destination, StringComparer.Ordinal)
                    .Select(lane => Report(lane, backlog.GetValueOrDefault(lane.Destination)))
                    .ToList());
            })
            .RequireScope(Access.Scopes.DeadLettersRead)
            .WithName(Named("GetOutbox")).WithSummary("Shows what waits for each destination, and why");

        DeadLetters Letters(IServiceProvider services) => services.GetRequiredKeyedService<DeadLetters>(module);

        async Task<ReplayResult> ReplayAsync(IServiceProvider services, Caller caller, TimeProvider time, long? id, string? destination, CancellationToken cancellation)
        {
            var leaf = new EntityChange
            {
                Tenant = caller.Tenant,
                Kind = "dead-letter-replay",
                Id = Guid.CreateVersion7().ToString(),
                Version = 1,
                At = time.GetUtcNow(),
                Actor = caller.Subject,
                Action = "dead-letter.replay",
                Details = JsonSerializer.SerializeToElement(new ReplayRequest(id, destination, caller.BreakGlass), Wave16Json.Options),
            };
            var replayed = await Letters(services).ReplayAsync(caller.Tenant, id, destination, leaf, cancellation);
            services.GetRequiredKeyedService<OutboxSignal>(module).Committed(replayed);
            return new ReplayResult(replayed.Count, replayed.Count == DeadLetters.ReplayedAtOnce);
        }
    }

    private static LaneReport Report(Lane lane, TenantBacklog? backlog)
    {
        var state = lane.State;
        return new LaneReport(
            lane.Destination, JsonNamingPolicy.KebabCaseLower.ConvertName(state.Status.ToString()), state.Since, state.Reason, state.Until,
            backlog?.Pending ?? 0, backlog?.Oldest);
    }

    private sealed record ReplayRequest(long? Id, string? Destination, string? BreakGlass);
}
