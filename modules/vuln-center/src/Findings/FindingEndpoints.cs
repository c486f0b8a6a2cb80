using System.ComponentModel;
using Microsoft.AspNetCore.Http.HttpResults;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

internal static class FindingEndpoints
{
    private const int BulkAtOnce = 16;

    public static void MapFindings(this IEndpointRouteBuilder app)
    {
        var findings = app.MapGroup("/findings").WithTags("Findings");
        findings.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListFindings").WithSummary("Findings by filter, a page at a time");
        findings.MapGet("/{id:guid}", GetAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetFinding").WithSummary("A finding with its observations, decisions and history");
        findings.MapPost("/{id:guid}/status", ChangeStatusAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("ChangeFindingStatus").WithSummary("Move a finding through its life")
            .WithDescription("open → triaged → fixed → verified, and back to open. Needs If-Match with the finding's ETag. Verified without evidence takes the latest complete scan that shows the finding to be gone, if there is one.");
        findings.MapPost("/status", ChangeStatusesAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("ChangeFindingStatuses").WithSummary("Move up to 1,000 findings, each by itself")
            .WithDescription("200 with what became of each, in order; one that is refused keeps no other one back.");

        findings.MapPut("/{id:guid}/suppression", SuppressAsync).RequireScope(VulnCenterScopes.Suppress)
            .WithName("SuppressFinding").WithSummary("Set a finding aside until a date")
            .WithDescription("Its status stays; its gate is withdrawn and its SLA clock stands until the suppression ends. Needs If-Match.")
            .ProducesProblem(StatusCodes.Status422UnprocessableEntity);
        findings.MapDelete("/{id:guid}/suppression", LiftSuppressionAsync).RequireScope(VulnCenterScopes.Suppress)
            .WithName("LiftFindingSuppression").WithSummary("End a finding's suppression now")
            .ProducesProblem(StatusCodes.Status409Conflict);
        findings.MapPost("/suppression", SuppressManyAsync).RequireScope(VulnCenterScopes.Suppress).WithIdempotency()
            .WithName("SuppressFindings").WithSummary("Set up to 1,000 findings aside, or end that, each by itself");

        findings.MapPut("/{id:guid}/severity", OverrideSeverityAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("OverrideFindingSeverity").WithSummary("Rate a finding by an analyst's judgement")
            .WithDescription("Counts before any CVSS vector and mapping, also after later scans. The SLA clock is not restarted. Needs If-Match.");
        findings.MapDelete("/{id:guid}/severity", RestoreSeverityAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("RestoreFindingSeverity").WithSummary("Let the vector or the source rate a finding again")
            .ProducesProblem(StatusCodes.Status409Conflict);
        findings.MapPut("/{id:guid}/assignee", AssignAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("AssignFinding").WithSummary("Say who works on a finding");
    }

    private static async Task<Results<Ok<FindingPage>, RefusalResult>> ListAsync(
        [AsParameters] FindingQuery query, PageRequest page, Caller caller, FindingPages findings, FindingFacets facets, TimeProvider clock, HttpContext http, CancellationToken cancellation)
    {
        var (filter, refusal) = query.Read(caller.Tenant, http.Request.Query, clock.GetUtcNow());
        if (filter is null)
        {
            return (refusal ?? throw new InvalidOperationException("A refused filter has a reason.")).ToResult();
        }

        if (page.ReadCursor<FindingPosition>(out var after) is { } badCursor)
        {
            return badCursor.ToResult();
        }

        var (counts, counted) = query.Facets == true ? await facets.CountAsync(filter, cancellation) : (null, null);
        var (rows, next) = page.ToPage(await findings.ListAsync(filter, after, page.Limit + 1, cancellation), row => row.Position);
        return TypedResults.Ok(new FindingPage([.. rows.Select(row => row.Finding)], next, counts, counted));
    }

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> GetAsync(Guid id, Caller caller, FindingQueries findings, CancellationToken cancellation) =>
        await findings.FindAsync(caller.Tenant, id, cancellation) is { } detail
            ? ETagResult.Live(detail, detail.Finding.Version)
            : NotFound(id);

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> ChangeStatusAsync(
        Guid id, StatusChange change, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).ChangeStatus(
            new ChangeFindingStatus(caller.Subject, command.Value, ifMatch.Version, change.Status, change.Reason, Reference(change.Evidence)), cancellation), cancellation);

    private static async Task<Results<Ok<BulkAnswer>, RefusalResult>> ChangeStatusesAsync(
        BulkStatusChange change, CommandId command, Caller caller, IGrainFactory grains, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult() is { } invalid
            ? invalid
            : TypedResults.Ok(await EachAsync(change.Items, command, (item, id) => grains.Finding(caller.Tenant, item.Id).ChangeStatus(
                new ChangeFindingStatus(caller.Subject, id, item.Version, change.Status, change.Reason, Reference(change.Evidence)), cancellation), cancellation));

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> SuppressAsync(
        Guid id, SuppressionChange change, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).Suppress(
            new SuppressFinding(caller.Subject, command.Value, ifMatch.Version, change.Kind, change.Reason, change.Until), cancellation), cancellation);

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> LiftSuppressionAsync(
        Guid id, [Description("1 to 2,000 characters.")] string? reason, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings,
        CancellationToken cancellation) =>
        FindingChecks.CheckReason(reason)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).Suppress(
            new SuppressFinding(caller.Subject, command.Value, ifMatch.Version, Kind: null, reason ?? "", default), cancellation), cancellation);

    private static async Task<Results<Ok<BulkAnswer>, RefusalResult>> SuppressManyAsync(
        BulkSuppressionChange change, CommandId command, Caller caller, IGrainFactory grains, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult() is { } invalid
            ? invalid
            : TypedResults.Ok(await EachAsync(change.Items, command, (item, id) => grains.Finding(caller.Tenant, item.Id).Suppress(
                new SuppressFinding(caller.Subject, id, item.Version, change.Kind, change.Reason, change.Until ?? default), cancellation), cancellation));

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> OverrideSeverityAsync(
        Guid id, SeverityChange change, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).OverrideSeverity(
            new OverrideFindingSeverity(caller.Subject, command.Value, ifMatch.Version, change.Severity, change.Reason), cancellation), cancellation);

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> RestoreSeverityAsync(
        Guid id, [Description("1 to 2,000 characters.")] string? reason, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings,
        CancellationToken cancellation) =>
        FindingChecks.CheckReason(reason)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).OverrideSeverity(
            new OverrideFindingSeverity(caller.Subject, command.Value, ifMatch.Version, Severity: null, reason ?? ""), cancellation), cancellation);

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> AssignAsync(
        Guid id, AssigneeChange change, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings, CancellationToken cancellation) =>
        FindingChecks.Check(change)?.ToResult()
        ?? await AnswerAsync(id, caller, findings, await grains.Finding(caller.Tenant, id).Assign(
            new AssignFinding(caller.Subject, command.Value, ifMatch.Version, change.Assignee), cancellation), cancellation);

    /// <summary>The finding as it is after the change, or why it was not made.</summary>
    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> AnswerAsync(
        Guid id, Caller caller, FindingQueries findings, FindingAnswer answer, CancellationToken cancellation)
    {
        if (answer is { RefusalCode: { } code, RefusalDetail: { } detail })
        {
            return new Refusal(code, detail, code == FindingProblems.SuppressionExpiry ? [new FieldError("/until", $"must be after now, and at most {FindingRules.MaxSuppression.TotalDays:0} days from now")] : null).ToResult();
        }

        return await findings.FindAsync(caller.Tenant, id, cancellation) is { } changed ? ETagResult.Ok(changed, changed.Finding.Version) : NotFound(id);
    }

    /// <summary>One command for each finding, under an id of its own: repeated as a whole, each is done once.</summary>
    private static async Task<BulkAnswer> EachAsync(
        IReadOnlyList<BulkItem> items, CommandId command, Func<BulkItem, string, Task<FindingAnswer>> change, CancellationToken cancellation)
    {
        var outcomes = new BulkOutcome[items.Count];
        await Parallel.ForAsync(0, items.Count, new ParallelOptions { MaxDegreeOfParallelism = BulkAtOnce, CancellationToken = cancellation }, async (i, _) =>
        {
            var answer = await change(items[i], $"{command.Value}/{items[i].Id:N}");
            outcomes[i] = new BulkOutcome(items[i].Id, answer.Version, answer.RefusalCode, answer.RefusalDetail);
        });
        return new BulkAnswer(outcomes.Count(outcome => outcome.Code is null), outcomes.Count(outcome => outcome.Code is not null), outcomes);
    }

    private static IFindingGrain Finding(this IGrainFactory grains, string tenant, Guid id) => grains.GetGrain<IFindingGrain>(FindingKey.Of(tenant, id));

    private static EvidenceReference? Reference(Evidence? evidence) =>
        evidence is null ? null : new EvidenceReference(evidence.Scan, evidence.Sha256?.ToLowerInvariant(), evidence.Uri, evidence.Note);

    private static RefusalResult NotFound(Guid id) => new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {id}.").ToResult();
}
