using System.ComponentModel;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using Wave16.Platform.Http;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Imports;

/// <summary>Query parameters of <c>POST /findings/imports</c>.</summary>
internal sealed record ImportQuery(
    [property: FromQuery(Name = "format"), Description("Name of the report's format; GET /findings/formats lists them. auto (default): seen from the report, and told in the result.")] string? Format,
    [property: FromQuery(Name = "service"), Description("The service that was scanned. Required for a scanner's report; POST /findings may leave it out where the findings, or their report, name it.")] string? Service,
    [property: FromQuery(Name = "source"), Description("Name of the source, kept in lower case with its words joined by '-'; the scanner's own name unless given.")] string? Source,
    [property: FromQuery(Name = "scope"), Description("complete: this source scanned all of the service; partial (default): only some of it.")] string? Scope,
    [property: FromQuery(Name = "scopeFilter"), Description("What a complete scan was limited to: path:src/web, image:registry.example/shop/api or host:shop.example (all of its ports, or host:shop.example:8443); without a prefix a path or an image. A host named here comes before the hosts that the report names.")] string? ScopeFilter,
    [property: FromQuery(Name = "kinds"), Description("What a complete scan looked for, comma-separated: sca, sast, dast, secret, config, license. Of the others it says nothing. Everything, or what the report tells, unless given.")] string? Kinds,
    [property: FromQuery(Name = "expectEmpty"), Description("true: a complete scan without any result closes what it does not show. Otherwise it is taken for one that went wrong.")] bool? ExpectEmpty,
    [property: FromQuery(Name = "scannedAt"), Description("When the scan began. Comes before what the report says; without either it is when the report was received. An older scan than the latest complete one closes nothing.")] Rfc3339Time? ScannedAt,
    [property: FromQuery(Name = "repository"), Description("Where the scanned code is kept, where the report does not say.")] string? Repository,
    [property: FromQuery(Name = "commit"), Description("Which commit of it was scanned.")] string? Commit,
    [property: FromQuery(Name = "wait"), Description("Seconds to wait for the result before answering 202.")] int? Wait);

/// <summary>A format and its severity mapping.</summary>
internal sealed record ReportFormatView(string Name, string Title, IReadOnlyList<string> Versions, IReadOnlyList<SeverityMappingView> Severities);

internal sealed record SeverityMappingView(string Raw, Severity Severity);

internal static class ImportEndpoints
{
    // What curl --data-binary calls a body that nobody named.
    private const string CurlsOwn = "application/x-www-form-urlencoded";

    private const int MaxFindingsPosted = 10_000;

    // Clocks of scanners and ours differ; what is ahead of ours counts as now.
    private static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    private static readonly HashSet<string> Known = QueryParameters.Of("format", "service", "source", "scope", "scopeFilter", "kinds", "expectEmpty", "scannedAt", "repository", "commit", "wait");

    public static void MapImports(this IEndpointRouteBuilder app)
    {
        var findings = app.MapGroup("/findings").WithTags("Imports");
        findings.MapPost("", PostFindingsAsync).RequireScope(VulnCenterScopes.Import)
            .WithName("PostFindings").WithSummary("Submit up to 10,000 findings in the normalized schema")
            .TakesReports("application/json");
        findings.MapPost("/imports", ImportAsync).RequireScope(VulnCenterScopes.Import)
            .WithName("ImportReport").WithSummary("Import a scanner's own report")
            .WithDescription("The body is the report as the scanner wrote it, plain or with Content-Encoding gzip or zstd. 200 with what it changed, or 202 and where to ask.")
            .TakesReports("application/json", "application/xml", "text/xml", "text/csv", "application/octet-stream", CurlsOwn);
        findings.MapGet("/imports/{id:guid}", GetAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetImport").WithSummary("Progress and result of an import");
        findings.MapDelete("/imports/{id:guid}", CancelAsync).RequireScope(VulnCenterScopes.Import)
            .WithName("CancelImport").WithSummary("Cancel an import that has not finished")
            .WithDescription("A report is taken as a whole: once the findings of one service are merged, the import goes on to its end.");
        findings.MapGet("/formats", Formats).RequireScope(VulnCenterScopes.Read)
            .WithName("ListFormats").WithSummary("Report formats, and sources of people's findings, with their severity mappings");
        findings.MapGet("/formats/{format}", Format).RequireScope(VulnCenterScopes.Read)
            .WithName("GetFormat").WithSummary("A report format, or a source of people's findings, with its severity mapping");
    }

    private static void TakesReports(this RouteHandlerBuilder endpoint, string contentType, params string[] others) => endpoint
        .WithIdempotency(IdempotencyBody.HashedByHandler)
        .Accepts<Stream>(contentType, others)
        .Produces<Import>().Produces<Import>(StatusCodes.Status202Accepted).ProducesProblem(StatusCodes.Status413PayloadTooLarge)
        .WithMetadata(new DisableRequestSizeLimitAttribute())
        .AllowLongLived();

    private static Task<IResult> PostFindingsAsync(
        [AsParameters] ImportQuery query, Caller caller, ImportIntake intake, Progress progress, TimeProvider clock, HttpContext http, CancellationToken cancellation) =>
        TakeAsync(query with { Format = "generic" }, MaxFindingsPosted, caller, intake, progress, clock, http, cancellation);

    private static Task<IResult> ImportAsync(
        [AsParameters] ImportQuery query, Caller caller, ImportIntake intake, Progress progress, TimeProvider clock, HttpContext http, CancellationToken cancellation) =>
        TakeAsync(query, maxResults: null, caller, intake, progress, clock, http, cancellation);

    private static async Task<IResult> TakeAsync(
        ImportQuery query, int? maxResults, Caller caller, ImportIntake intake, Progress progress, TimeProvider clock, HttpContext http, CancellationToken cancellation)
    {
        if (Validate(query, http.Request.Query, needsService: maxResults is null, clock, out var format, out var scope, out var kinds, out var filter) is { } invalid)
        {
            return invalid.ToResult();
        }

        var request = new ImportRequest(
            caller.Tenant, caller.Subject, format, query.Service?.Trim() ?? "", query.Source is { } source ? Names.SourceOf(source) : null, scope, filter, WithItems: maxResults is not null, maxResults,
            kinds, query.ExpectEmpty ?? false, WebPlaces.WithoutCredentials(query.Repository), query.Commit, query.ScannedAt?.Value);
        var spool = await intake.ReceiveAsync(http, caller.Tenant, cancellation);
        return Idempotent.Once(spool.Digest, async (command, cancel) =>
        {
            var import = command.EntityId;
            if (await intake.TakeAsync(import, request, spool, cancel) is { } refusal)
            {
                return refusal.ToResult();
            }

            var taken = await progress.WaitAsync(caller.Tenant, import, query.Wait, cancel) ?? throw new InvalidOperationException($"Import {import} vanished.");
            return taken.State is "succeeded" or "failed" or "cancelled"
                ? TypedResults.Ok(taken)
                : TypedResults.Accepted($"/findings/imports/{import:D}", taken);
        });
    }

    // A repeated command is the same import: its job exists once.

    private static async Task<Results<Ok<Import>, RefusalResult>> GetAsync(Guid id, Caller caller, Progress progress, CancellationToken cancellation) =>
        await progress.FindAsync(caller.Tenant, id, cancellation) is { } import ? TypedResults.Ok(import) : NotFound(id);

    private static async Task<Results<Ok<Import>, RefusalResult>> CancelAsync(Guid id, Caller caller, Progress progress, CancellationToken cancellation) =>
        await progress.CancelAsync(caller.Tenant, id, cancellation) switch
        {
            null => NotFound(id),
            { State: "succeeded" or "failed" } import => new Refusal(FindingProblems.ImportFinished, $"The import has {import.State}.").ToResult(),
            var import => TypedResults.Ok(import),
        };

    private static Ok<IReadOnlyList<ReportFormatView>> Formats() => TypedResults.Ok<IReadOnlyList<ReportFormatView>>([.. ReportFormats.All.Concat(PeopleSources.All).Select(View)]);

    private static Results<Ok<ReportFormatView>, RefusalResult> Format(string format) =>
        ReportFormats.Find(format) is { } known ? TypedResults.Ok(View(known)) : new Refusal(ProblemCodes.NotFound.Code, $"There is no format {format}.").ToResult();

    private static ReportFormatView View(IReportFormat format) =>
        new(format.Name, format.Title, format.Versions, [.. format.Severities.Select(mapping => new SeverityMappingView(mapping.Raw, mapping.Severity))]);

    private static Refusal? Validate(ImportQuery query, IQueryCollection raw, bool needsService, TimeProvider clock, out IReportFormat? format, out ScanScope scope, out IReadOnlyList<FindingKind>? kinds, out string? filter)
    {
        List<FieldError> errors = [];
        var isAuto = query.Format is null || string.Equals(query.Format, ReportFormats.Auto, StringComparison.OrdinalIgnoreCase);
        format = ReportFormats.Find(query.Format ?? "");
        if (format is null && !isAuto)
        {
            errors.Add(FieldError.Query("format", $"must be auto or one of {string.Join(", ", ReportFormats.All.Concat(PeopleSources.All).Select(known => known.Name))}"));
        }

        if (query.Service is { } service ? !IsName(service) : needsService)
        {
            errors.Add(FieldError.Query("service", Names.Must));
        }

        if (query.Source is { } source && !(IsName(source) && Names.SourceOf(source) is not null))
        {
            errors.Add(FieldError.Query("source", Names.Must));
        }

        scope = string.Equals(query.Scope, "complete", StringComparison.OrdinalIgnoreCase) ? ScanScope.Complete : ScanScope.Partial;
        if (scope == ScanScope.Partial && query.Scope is { } named && !string.Equals(named, "partial", StringComparison.OrdinalIgnoreCase))
        {
            errors.Add(FieldError.Query("scope", "must be complete or partial"));
        }

        filter = null;
        if (query.ScopeFilter is { } given)
        {
            var refusal = IsName(given) ? null : Names.Must;
            filter = refusal is null ? ScanCoverage.FilterOf(given, out refusal) : null;
            if (refusal is not null)
            {
                errors.Add(FieldError.Query("scopeFilter", refusal));
            }
        }

        foreach (var (name, value) in new[] { ("repository", query.Repository), ("commit", query.Commit) })
        {
            if (value is not null && !IsName(value))
            {
                errors.Add(FieldError.Query(name, Names.Must));
            }
        }

        kinds = query.Kinds is null ? null : KindsOf(query.Kinds);
        if (query.Kinds is not null && kinds is null)
        {
            errors.Add(FieldError.Query("kinds", $"must be one or more of {string.Join(", ", KindNames.Keys)}"));
        }

        if (query.ScannedAt?.Value > clock.GetUtcNow() + ClockSkew)
        {
            errors.Add(FieldError.Query("scannedAt", "must not lie in the future"));
        }

        if (query.Wait is < 0 or > 120)
        {
            errors.Add(FieldError.Query("wait", "must be 0 to 120 seconds"));
        }

        errors.AddRange(QueryParameters.Check(raw, Known, "an import"));

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The import is not valid.", errors);
    }

    private static readonly Dictionary<string, FindingKind> KindNames = Enum.GetValues<FindingKind>().ToDictionary(FindingFilter.KebabCase, StringComparer.OrdinalIgnoreCase);

    private static List<FindingKind>? KindsOf(string given)
    {
        var names = given.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return names.Length > 0 && names.All(KindNames.ContainsKey) ? [.. names.Select(name => KindNames[name]).Distinct()] : null;
    }

    internal static bool IsName(string text) => Names.Of(text) is not null;

    private static RefusalResult NotFound(Guid id) => new Refusal(ProblemCodes.NotFound.Code, $"There is no import {id}.").ToResult();
}

/// <summary>An import as its job tells it.</summary>
internal sealed class Progress([FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs, IOptions<ImportOptions> options)
{
    public async Task<Import?> WaitAsync(string tenant, Guid id, int? seconds, CancellationToken cancellation) =>
        View(await jobs.WaitAsync(tenant, id, TimeSpan.FromSeconds(seconds ?? options.Value.WaitSeconds), cancellation));

    public async Task<Import?> FindAsync(string tenant, Guid id, CancellationToken cancellation) => View(await jobs.FindAsync(tenant, id, cancellation));

    public async Task<Import?> CancelAsync(string tenant, Guid id, CancellationToken cancellation) =>
        await FindAsync(tenant, id, cancellation) is null ? null : View(await jobs.CancelAsync(tenant, id, cancellation));

    private static Import? View(Job? job) => job is not { Kind: ImportJob.KindName }
        ? null
        : new Import(
            job.Id,
            JsonNamingPolicy.KebabCaseLower.ConvertName(job.State.ToString()),
            job.Progress.TryGetProperty("read", out _) ? job.Progress.Deserialize(VulnCenterJson.Default.ImportProgress) ?? None : None,
            job.Result?.Deserialize(VulnCenterJson.Default.ImportResult),
            job.Problem?.Detail);

    private static ImportProgress None { get; } = new(0, 0, 0);
}
