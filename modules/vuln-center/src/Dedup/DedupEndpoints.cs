using System.ComponentModel;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

internal static class DedupEndpoints
{
    private const int ReasonLength = 2_000;
    private const int MaxObservations = 1_000;
    private const int MaxItems = 100;

    private static readonly HashSet<string> DecisionParameters =
        QueryParameters.Of("finding", "scan", "outcome", "source", "service", "from", "to", "limit", "cursor");

    private static readonly HashSet<string> OverMergeParameters = QueryParameters.Of("source", "service", "limit", "cursor");

    public static void MapDedup(this IEndpointRouteBuilder app)
    {
        var findings = app.MapGroup("/findings").WithTags("Dedup");
        findings.MapGet("/dedup-rules", ListRulesAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListDedupRules").WithSummary("Sources with the version of their dedup rules");
        findings.MapGet("/dedup-rules/{source}", GetRulesAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetDedupRules").WithSummary("How findings of a source are recognised");
        findings.MapPut("/dedup-rules/{source}", PutRulesAsync).RequireScope(VulnCenterScopes.Rules).AllowLongLived()
            .WithName("PutDedupRules").WithSummary("Change how findings of a source are recognised, or see what a change would do")
            .WithDescription("Needs If-Match with the rules' ETag. dryRun=true answers what would split and what would merge, and changes nothing; 202 and where to ask when that takes longer than the wait.")
            .Produces<DedupPreview>().AlsoProduces<DedupRules>().Produces<DedupTrial>(StatusCodes.Status202Accepted);
        findings.MapGet("/dedup-rules/trials/{id:guid}", GetTrialAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetDedupTrial").WithSummary("Progress and result of a dry run of rules");
        findings.MapDelete("/dedup-rules/trials/{id:guid}", CancelTrialAsync).RequireScope(VulnCenterScopes.Rules)
            .WithName("CancelDedupTrial").WithSummary("Cancel a dry run that has not finished");
        findings.MapPost("/{id:guid}/unmerge", UnmergeAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("UnmergeFinding").WithSummary("Split observations from a finding, for good")
            .WithDescription("They become a finding of their own, which is never one with this again. Needs If-Match with the finding's ETag.");
        findings.MapPost("/unmerge", UnmergeManyAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("UnmergeFindings").WithSummary("Split up to 100 findings, each by itself");
        findings.MapGet("/overmerged", ListOverMergesAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListOverMerges").WithSummary("Findings whose key took in results of different rules or many places");
        findings.MapGet("/decisions", ListDecisionsAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListDecisions").WithSummary("Why each raw result became part of which finding, newest first");
    }

    private static async Task<Ok<IReadOnlyList<DedupSource>>> ListRulesAsync(Caller caller, RuleChanges rules, CancellationToken cancellation) =>
        TypedResults.Ok(await rules.ListAsync(caller.Tenant, cancellation));

    private static async Task<Results<ETagResult<DedupRules>, RefusalResult>> GetRulesAsync(string source, Caller caller, RuleChanges rules, CancellationToken cancellation) =>
        BadSource(ref source) is { } refusal ? refusal : await AnswerAsync(caller.Tenant, source, rules, cancellation);

    private static async Task<IResult> PutRulesAsync(
        string source, DedupRulesChange change, IfMatch ifMatch, Caller caller, RuleChanges rules, Trials trials, CancellationToken cancellation,
        [FromQuery(Name = "dryRun"), Description("true: say what would split and what would merge, and change nothing.")] bool dryRun = false,
        [FromQuery(Name = "wait"), Description("dryRun: seconds to wait for its end before answering 202; 20 unless given.")] int? wait = null)
    {
        if (BadSource(ref source) is { } refusal)
        {
            return refusal;
        }

        if (wait is < 0 or > 120)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", [FieldError.Query("wait", "must be 0 to 120 seconds")]).ToResult();
        }

        if (RuleChecks.Errors(change) is { Count: > 0 } errors)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The rules are not valid.", errors).ToResult();
        }

        if (dryRun)
        {
            var (trial, refused) = await trials.StartAsync(caller.Tenant, caller.Subject, source, ifMatch, change.Keys, wait, cancellation);
            return trial switch
            {
                null => (refused ?? throw new InvalidOperationException("A trial that was not made has a reason.")).ToResult(),
                { Preview: { } preview } => TypedResults.Ok(preview),
                { State: "failed" } => new Refusal(ProblemCodes.PreconditionFailed.Code, trial.Problem ?? "The dry run failed.").ToResult(),
                _ => TypedResults.Accepted($"/findings/dedup-rules/trials/{trial.Id:D}", trial),
            };
        }

        return await rules.ChangeAsync(caller.Tenant, caller.Subject, source, ifMatch, change.Keys, cancellation) is { } stale
            ? stale.ToResult()
            : await AnswerAsync(caller.Tenant, source, rules, cancellation);
    }

    private static async Task<ETagResult<DedupRules>> AnswerAsync(string tenant, string source, RuleChanges rules, CancellationToken cancellation)
    {
        var found = await rules.FindAsync(tenant, source, cancellation);
        return ETagResult.Ok(found, found.Version);
    }

    private static async Task<Results<Ok<DedupTrial>, RefusalResult>> GetTrialAsync(Guid id, Caller caller, Trials trials, CancellationToken cancellation) =>
        await trials.FindAsync(caller.Tenant, id, cancellation) is { } trial ? TypedResults.Ok(trial) : NoTrial(id);

    private static async Task<Results<Ok<DedupTrial>, RefusalResult>> CancelTrialAsync(Guid id, Caller caller, Trials trials, CancellationToken cancellation) =>
        await trials.CancelAsync(caller.Tenant, id, cancellation) switch
        {
            null => NoTrial(id),
            { State: "succeeded" or "failed" } trial => new Refusal(FindingProblems.TrialFinished, $"The dry run has {trial.State}.").ToResult(),
            var trial => TypedResults.Ok(trial),
        };

    private static RefusalResult NoTrial(Guid id) => new Refusal(ProblemCodes.NotFound.Code, $"There is no dry run {id}.").ToResult();

    private static async Task<Results<ETagResult<Unmerged>, RefusalResult>> UnmergeAsync(
        Guid id, UnmergeRequest request, IfMatch ifMatch, CommandId command, Caller caller, Unmerging unmerging, CancellationToken cancellation)
    {
        List<FieldError> errors = [.. Errors("", request.Observations, request.Reason)];
        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The split is not valid.", errors).ToResult();
        }

        var (done, refusal) = await unmerging.SplitAsync(
            new UnmergeCommand(caller.Tenant, caller.Subject, command.Value, id, ifMatch.Version, request.Observations, request.Reason, request.KeepStatus), cancellation);
        return done is not null ? ETagResult.Ok(done, done.Version) : (refusal ?? throw new InvalidOperationException("A split that was not made has a reason.")).ToResult();
    }

    private static async Task<Results<Ok<UnmergeBatchResult>, RefusalResult>> UnmergeManyAsync(
        UnmergeBatch batch, CommandId command, Caller caller, Unmerging unmerging, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        if (batch.Items.Count is 0 or > MaxItems)
        {
            errors.Add(new FieldError("/items", $"must hold 1 to {MaxItems} items"));
        }
        else
        {
            errors.AddRange(batch.Items.Index().SelectMany(item => item.Item is null
                ? [new FieldError($"/items/{item.Index}", "must be an object")]
                : Errors($"/items/{item.Index}", item.Item.Observations, item.Item.Reason)));
        }

        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The splits are not valid.", errors).ToResult();
        }

        List<UnmergeItemResult> results = [];
        foreach (var (index, item) in batch.Items.Index())
        {
            var (done, refusal) = await unmerging.SplitAsync(
                new UnmergeCommand(caller.Tenant, caller.Subject, $"{command.Value}/{index}", item.Finding, item.Version, item.Observations, item.Reason, item.KeepStatus), cancellation);
            results.Add(new UnmergeItemResult(
                item.Finding, done, refusal?.Code, refusal is null ? null : string.Join(' ', [refusal.Detail, .. (refusal.Errors ?? []).Select(error => $"{error.Pointer} {error.Reason}.")])));
        }

        return TypedResults.Ok(new UnmergeBatchResult(results));
    }

    private static async Task<Results<Ok<OverMergePage>, RefusalResult>> ListOverMergesAsync(
        [FromQuery(Name = "service")] string? service, [FromQuery(Name = "source")] string? source, PageRequest page, Caller caller, DedupQueries queries, HttpContext http,
        CancellationToken cancellation)
    {
        if (Unknown(http.Request.Query, OverMergeParameters) is { } unknown)
        {
            return unknown.ToResult();
        }

        if (page.ReadCursor<OverMergePosition>(out var after) is { } badCursor)
        {
            return badCursor.ToResult();
        }

        var (items, next) = page.ToPage(
            await queries.OverMergesAsync(caller.Tenant, service, source, after, page.Limit + 1, cancellation), last => new OverMergePosition(last.Since, last.Finding, last.Key));
        return TypedResults.Ok(new OverMergePage(items, next));
    }

    private static async Task<Results<Ok<DecisionPage>, RefusalResult>> ListDecisionsAsync(
        [FromQuery] Guid? finding,
        [FromQuery] Guid? scan,
        [FromQuery, Description("One or more, comma-separated: new, matched, reopened, rejected, released, unmerged.")] string? outcome,
        [FromQuery] string? source,
        [FromQuery] string? service,
        [FromQuery, Description("Not before this time.")] Rfc3339Time? from,
        [FromQuery, Description("Before this time.")] Rfc3339Time? to,
        PageRequest page, Caller caller, DedupQueries queries, HttpContext http, CancellationToken cancellation)
    {
        if (Unknown(http.Request.Query, DecisionParameters) is { } unknown)
        {
            return unknown.ToResult();
        }

        var names = outcome?.Split(',', StringSplitOptions.TrimEntries) ?? [];
        var known = Enum.GetValues<Outcome>().ToDictionary(FindingFilter.KebabCase, StringComparer.OrdinalIgnoreCase);
        if (!names.All(known.ContainsKey))
        {
            return new Refusal(
                ProblemCodes.Invalid.Code, "The filter is not valid.", [FieldError.Query("outcome", $"must be one or more of {string.Join(", ", known.Keys)}")]).ToResult();
        }

        if (page.ReadCursor<DecisionPosition>(out var after) is { } badCursor)
        {
            return badCursor.ToResult();
        }

        var filter = new DecisionFilter(finding, scan, [.. names.Select(name => known[name])], source, service, from?.Value, to?.Value);
        var (items, next) = page.ToPage(await queries.DecisionsAsync(caller.Tenant, filter, after, page.Limit + 1, cancellation), last => last.Position);
        return TypedResults.Ok(new DecisionPage([.. items.Select(item => item.Entry)], next));
    }

    private static IEnumerable<FieldError> Errors(string pointer, IReadOnlyList<Guid> observations, string reason)
    {
        if (observations.Count is 0 or > MaxObservations || observations.Distinct().Count() != observations.Count)
        {
            yield return new FieldError($"{pointer}/observations", $"must hold 1 to {MaxObservations} ids, each once");
        }

        if (string.IsNullOrWhiteSpace(reason) || reason.Length > ReasonLength || reason.Contains('\0', StringComparison.Ordinal))
        {
            yield return new FieldError($"{pointer}/reason", $"must be 1 to {ReasonLength} characters, without U+0000");
        }
    }

    private static Refusal? Unknown(IQueryCollection query, HashSet<string> known) => QueryParameters.Check(query, known, "this list").ToList() is { Count: > 0 } errors
        ? new Refusal(ProblemCodes.Invalid.Code, "The filter is not valid.", errors)
        : null;

    private static RefusalResult? BadSource(ref string source)
    {
        if (Names.Of(Names.InPath(source)) is { } name && Names.SourceOf(name) is { } known)
        {
            source = known;
            return null;
        }

        return new Refusal(ProblemCodes.NotFound.Code, $"There is no such source: a name {Names.Must}.").ToResult();
    }
}
