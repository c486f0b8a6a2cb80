using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http.HttpResults;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

internal static partial class FindingEndpoints
{
    private const int ReasonLength = 2_000;

    public static void MapFindings(this IEndpointRouteBuilder app)
    {
        var findings = app.MapGroup("/findings").WithTags("Findings");
        findings.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListFindings").WithSummary("Findings by filter, a page at a time");
        findings.MapGet("/{id:guid}", GetAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetFinding").WithSummary("A finding with its observations, decisions and history");
        findings.MapPost("/{id:guid}/status", ChangeStatusAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("ChangeFindingStatus").WithSummary("Move a finding through its life")
            .WithDescription("open → triaged → fixed → verified, and back to open. Needs If-Match with the finding's ETag.");
    }

    private static async Task<Results<Ok<FindingPage>, RefusalResult>> ListAsync(
        [AsParameters] FindingQuery query, PageRequest page, Caller caller, FindingPages findings, FindingFacets facets, TimeProvider clock, HttpContext http, CancellationToken cancellation)
    {
        var (filter, refusal) = FindingFilter.Parse(caller.Tenant, query, http.Request.Query, clock.GetUtcNow());
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
            ? ETagResult.Ok(detail, detail.Finding.Version)
            : NotFound(id);

    private static async Task<Results<ETagResult<FindingDetail>, RefusalResult>> ChangeStatusAsync(
        Guid id, StatusChange change, IfMatch ifMatch, CommandId command, Caller caller, IGrainFactory grains, FindingQueries findings, CancellationToken cancellation)
    {
        if (Validate(change) is { } invalid)
        {
            return invalid.ToResult();
        }

        var evidence = change.Evidence is { } e ? new EvidenceReference(e.Scan, e.Sha256?.ToLowerInvariant(), e.Uri, e.Note) : null;
        var answer = await grains.GetGrain<IFindingGrain>(FindingKey.Of(caller.Tenant, id)).ChangeStatus(
            new ChangeFindingStatus(caller.Subject, command.Value, ifMatch.Version, change.Status, change.Reason, evidence), cancellation);
        if (answer is { RefusalCode: { } code, RefusalDetail: { } detail })
        {
            return new Refusal(code, detail).ToResult();
        }

        return await findings.FindAsync(caller.Tenant, id, cancellation) is { } changed ? ETagResult.Ok(changed, changed.Finding.Version) : NotFound(id);
    }

    private static Refusal? Validate(StatusChange change)
    {
        List<FieldError> errors = [];
        if (change.Reason is { } reason && (string.IsNullOrWhiteSpace(reason) || reason.Length > ReasonLength || reason.Contains('\0', StringComparison.Ordinal)))
        {
            errors.Add(new FieldError("/reason", $"must be 1 to {ReasonLength} characters, without U+0000"));
        }

        if (change is { Reason: null, Status: FindingStatus.Open or FindingStatus.Fixed })
        {
            errors.Add(new FieldError("/reason", "is required to open a finding again and to claim that it is fixed"));
        }

        if (change is { Status: FindingStatus.Verified, Evidence: null or { Scan: null, Sha256: null, Uri: null, Note: null } })
        {
            errors.Add(new FieldError("/evidence", "is required for verified: a scan, an artifact's sha256, a uri or a note"));
        }

        if (change.Evidence?.Sha256 is { } sha256 && !Sha256().IsMatch(sha256))
        {
            errors.Add(new FieldError("/evidence/sha256", "must be 64 hexadecimal digits"));
        }

        if (change.Evidence?.Uri is { } uri && !(uri.Length <= ReasonLength && !uri.Any(char.IsControl) && Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme is "https" or "http"))
        {
            errors.Add(new FieldError("/evidence/uri", "must be an absolute http or https address"));
        }

        if (change.Evidence?.Note is { } note && (string.IsNullOrWhiteSpace(note) || note.Length > ReasonLength || note.Contains('\0', StringComparison.Ordinal)))
        {
            errors.Add(new FieldError("/evidence/note", $"must be 1 to {ReasonLength} characters, without U+0000"));
        }

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The change is not valid.", errors);
    }

    private static RefusalResult NotFound(Guid id) => new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {id}.").ToResult();

    [GeneratedRegex(@"\A[0-9a-fA-F]{64}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Sha256();
}
