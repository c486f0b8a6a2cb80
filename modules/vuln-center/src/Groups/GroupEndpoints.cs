using System.ComponentModel;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Groups;

internal static class GroupEndpoints
{
    private const int ReasonLength = 2_000;
    private const int MostFindings = 50;
    private const int MostActs = 200;
    private static readonly HashSet<string> Known = QueryParameters.Of("service", "limit", "cursor");

    public static void MapGroups(this IEndpointRouteBuilder app)
    {
        var groups = app.MapGroup("/findings/groups").WithTags("Groups");
        groups.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListGroups").WithSummary("Findings of different sources that are one problem, a page at a time");
        groups.MapGet("/{id:guid}", GetAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetGroup").WithSummary("A group with its members and what joins them");
        groups.MapPost("", LinkAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("LinkFindings").WithSummary("Say that findings are one problem")
            .WithDescription("One link, {findings, reason}, or up to 200, {groups:[{findings, reason}]}: all or none. Findings stay as they are.")
            .ProducesProblem(StatusCodes.Status404NotFound);
        groups.MapPost("/{id:guid}/split", SplitAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("SplitGroup").WithSummary("Take findings out of a group for good");
        groups.MapPost("/split", SplitManyAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("SplitGroups").WithSummary("Take findings out of groups for good, up to 200 groups, all or none")
            .ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static async Task<Results<Ok<GroupPage>, RefusalResult>> ListAsync(
        [FromQuery(Name = "service"), Description("Exact name of the service.")] string? service, PageRequest page, Caller caller, GroupQueries groups, HttpContext http,
        CancellationToken cancellation)
    {
        var errors = QueryParameters.Check(http.Request.Query, Known, "this list").ToList();
        if (service is not null && !ImportEndpoints.IsName(service))
        {
            errors.Add(FieldError.Query("service", "must be 1 to 200 characters, without control characters"));
        }

        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The filter is not valid.", errors).ToResult();
        }

        if (page.ReadCursor<GroupPosition>(out var after) is { } badCursor)
        {
            return badCursor.ToResult();
        }

        var (items, next) = page.ToPage(await groups.ListAsync(caller.Tenant, service, after, page.Limit + 1, cancellation), last => new GroupPosition(last.Id));
        return TypedResults.Ok(new GroupPage(items, next));
    }

    private static async Task<Results<ETagResult<FindingGroup>, RefusalResult>> GetAsync(Guid id, Caller caller, GroupQueries groups, CancellationToken cancellation) =>
        await groups.FindAsync(caller.Tenant, id, cancellation) is { } group
            ? ETagResult.Ok(group, group.Version)
            : new Refusal(ProblemCodes.NotFound.Code, $"There is no group {id}.").ToResult();

    private static async Task<Results<Ok<GroupsChanged>, RefusalResult>> LinkAsync(GroupLinks request, Caller caller, GroupActs acts, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        var many = request.Groups is not null;
        IReadOnlyList<GroupLink> links = request.Groups ?? [new GroupLink(request.Findings ?? [], request.Reason ?? "")];
        if (many && (request.Findings is not null || request.Reason is not null))
        {
            errors.Add(new FieldError("/groups", "must stand alone, without findings and reason beside it"));
        }

        CheckCount(errors, "/groups", links.Count);
        for (var i = 0; i < links.Count && i < MostActs; i++)
        {
            CheckAct(errors, Pointer(i), links[i]?.Findings, links[i]?.Reason, least: 2);
        }

        if (errors.Count > 0)
        {
            return Invalid(errors);
        }

        var (changed, refusal) = await acts.LinkAsync(caller.Tenant, caller.Subject, links, Pointer, cancellation);
        return Answer(changed, refusal);

        string Pointer(int i) => many ? FormattableString.Invariant($"/groups/{i}") : "";
    }

    private static async Task<Results<Ok<GroupsChanged>, RefusalResult>> SplitAsync(
        Guid id, GroupSplit request, Caller caller, GroupActs acts, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        CheckAct(errors, "", request.Findings, request.Reason, least: 1);
        if (errors.Count > 0)
        {
            return Invalid(errors);
        }

        var (changed, refusal) = await acts.SplitAsync(caller.Tenant, caller.Subject, [new GroupSplitOf(id, request.Findings, request.Reason)], _ => "", cancellation);
        return Answer(changed, refusal);
    }

    private static async Task<Results<Ok<GroupsChanged>, RefusalResult>> SplitManyAsync(GroupSplits request, Caller caller, GroupActs acts, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        CheckCount(errors, "/splits", request.Splits?.Count ?? 0);
        for (var i = 0; i < request.Splits?.Count && i < MostActs; i++)
        {
            CheckAct(errors, Pointer(i), request.Splits[i]?.Findings, request.Splits[i]?.Reason, least: 1);
        }

        if (errors.Count > 0 || request.Splits is null)
        {
            return Invalid(errors);
        }

        var (changed, refusal) = await acts.SplitAsync(caller.Tenant, caller.Subject, request.Splits, Pointer, cancellation);
        return Answer(changed, refusal);

        static string Pointer(int i) => FormattableString.Invariant($"/splits/{i}");
    }

    private static void CheckCount(List<FieldError> errors, string pointer, int count)
    {
        if (count is 0 or > MostActs)
        {
            errors.Add(new FieldError(pointer, $"must be 1 to {MostActs}"));
        }
    }

    private static void CheckAct(List<FieldError> errors, string pointer, IReadOnlyList<Guid>? findings, string? reason, int least)
    {
        if (findings is null || findings.Count < least || findings.Count > MostFindings)
        {
            errors.Add(new FieldError($"{pointer}/findings", $"must be {least} to {MostFindings} ids"));
        }
        else if (findings.Distinct().Count() < findings.Count)
        {
            errors.Add(new FieldError($"{pointer}/findings", "must name each finding once"));
        }

        if (string.IsNullOrWhiteSpace(reason) || reason.Length > ReasonLength || reason.Contains('\0', StringComparison.Ordinal))
        {
            errors.Add(new FieldError($"{pointer}/reason", $"must be 1 to {ReasonLength} characters, without U+0000"));
        }
    }

    private static RefusalResult Invalid(IReadOnlyList<FieldError> errors) => new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors).ToResult();

    private static Results<Ok<GroupsChanged>, RefusalResult> Answer(GroupsChanged? changed, Refusal? refusal) =>
        changed is not null ? TypedResults.Ok(changed) : (refusal ?? throw new InvalidOperationException("What is not done has a reason.")).ToResult();
}
