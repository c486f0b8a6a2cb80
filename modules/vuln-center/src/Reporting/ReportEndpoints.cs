using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Reporting;

internal static class ReportEndpoints
{
    private const string Csv = "text/csv";

    private static readonly HashSet<string> Known = QueryParameters.Of("service", "format");

    public static void MapReports(this IEndpointRouteBuilder app)
    {
        var reports = app.MapGroup("/reports").WithTags("Reports");
        reports.MapReport<FindingGraphReport, ProgramGraphReport>("program-graph", "GetProgramGraphReport", "Findings, components, files and services as a graph");
        reports.MapReport<GateReport, SafetyConsoleReport>("safety-console", "GetSafetyConsoleReport", "What stands at the safety gate, and which services it blocks");
        reports.MapReport<PostureReport, ControlPlaneReport>("control-plane", "GetControlPlaneReport", "How each service stands");
    }

    private static void MapReport<TReport, TContract>(this RouteGroupBuilder reports, string path, string name, string summary)
        where TReport : IReport =>
        reports.MapGet(path, GetAsync<TReport>).RequireScope(VulnCenterScopes.Read)
            .WithName(name).WithSummary(summary)
            .WithDescription("JSON, or CSV with Accept: text/csv or format=csv. The ETag changes when the content can have changed; If-None-Match answers 304.")
            .Produces<TContract>(StatusCodes.Status200OK, path == "program-graph" ? "application/vnd.jgf+json" : "application/json", Csv)
            .AllowLongLived();

    private static async Task<IResult> GetAsync<TReport>(
        [FromQuery] string? service, [FromQuery] string? format, Caller caller, TReport report, ReportSnapshots snapshots, ReportsBeingWritten writing, HttpContext http,
        CancellationToken cancellation)
        where TReport : IReport
    {
        if (Validate(service, format, http.Request.Query) is { } invalid)
        {
            return invalid.ToResult();
        }

        if (Negotiate(format, http.Request, report) is not { } csv)
        {
            return new Refusal(ProblemCodes.NotAcceptable.Code, $"This report is {report.MediaType} or {Csv}.").ToResult();
        }

        http.Response.Headers.Vary = "Accept";
        http.Response.Headers.CacheControl = "private, no-cache";
        var state = await snapshots.StateAsync(caller.Tenant, service, cancellation);
        if (IsKnown(http.Request, TagOf(report, csv, state, snapshots.Epoch)))
        {
            http.Response.Headers.ETag = TagOf(report, csv, state, snapshots.Epoch);
            return TypedResults.StatusCode(StatusCodes.Status304NotModified);
        }

        http.Response.RegisterForDispose(writing.TryEnter(caller.Tenant)
            ?? throw new RefusedException(new Refusal(ProblemCodes.Overloaded.Code, "Too many reports are being written; ask again in a moment.")));
        var snapshot = await snapshots.OpenAsync(caller.Tenant, service, cancellation);
        http.Response.RegisterForDisposeAsync(snapshot);
        http.Response.Headers.ETag = TagOf(report, csv, snapshot.State, snapshots.Epoch);
        return csv ? new CsvResult(report, snapshot) : new JsonResult(report, snapshot);
    }

    private static Refusal? Validate(string? service, string? format, IQueryCollection raw)
    {
        List<FieldError> errors = [];
        if (service is not null && !ImportEndpoints.IsName(service))
        {
            errors.Add(FieldError.Query("service", "must be the exact name of a service"));
        }

        if (format is not (null or "csv" or "json"))
        {
            errors.Add(FieldError.Query("format", "must be csv or json"));
        }

        errors.AddRange(QueryParameters.Check(raw, Known, "a report"));

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors);
    }

    /// <summary>Whether it is to be CSV; null when the caller takes neither (RFC 9110 section 12.5.1). The query says more than the header.</summary>
    private static bool? Negotiate(string? format, HttpRequest request, IReport report)
    {
        if (format is not null)
        {
            return format == "csv";
        }

        if (request.Headers.Accept.Count == 0 || !MediaTypeHeaderValue.TryParseList(request.Headers.Accept, out var accepted) || accepted.Count == 0)
        {
            return false;
        }

        var json = Math.Max(Quality(accepted, "application/json"), Quality(accepted, report.MediaType));
        var csv = Quality(accepted, Csv);
        return json == 0 && csv == 0 ? null : csv > json;
    }

    private static double Quality(IList<MediaTypeHeaderValue> accepted, string type)
    {
        var offered = new MediaTypeHeaderValue(type);
        return accepted
            .Where(range => range.MatchesMediaType(offered.MediaType))
            .OrderByDescending(range => (!range.MatchesAllTypes, !range.MatchesAllSubTypes))
            .Select(range => range.Quality ?? 1).FirstOrDefault();
    }

    private static string TagOf(IReport report, bool csv, ReportState state, string epoch)
    {
        var service = state.Service is null ? "" : $"-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(state.Service)).AsSpan(0, 8))}";
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"\"{report.Name}{report.Shape}{(csv ? "c" : "j")}-{epoch}-{state.Changes}{service}\"");
    }

    // If-None-Match compares weakly (RFC 9110 section 13.1.2), and a proxy that compressed the answer may have made our tag weak.
    private static bool IsKnown(HttpRequest request, string tag) =>
        EntityTagHeaderValue.TryParseList(request.Headers.IfNoneMatch, out var tags)
        && tags.Any(known => known.Equals(EntityTagHeaderValue.Any) || known.Compare(new EntityTagHeaderValue(tag), useStrongComparison: false));

    private sealed class JsonResult(IReport report, ReportSnapshot snapshot) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.ContentType = report.MediaType;
            await using var json = new ReportJson(httpContext.Response.Body);
            await report.WriteAsync(snapshot, json, httpContext.RequestAborted);
            await json.EndAsync(httpContext.RequestAborted);
        }
    }

    private sealed class CsvResult(IReport report, ReportSnapshot snapshot) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.ContentType = $"{Csv}; charset=utf-8; header=present";
            httpContext.Response.Headers.XContentTypeOptions = "nosniff";
            httpContext.Response.Headers.ContentDisposition = $"attachment; filename=\"{report.Name}.csv\"";
            var csv = new CsvTable(httpContext.Response.Body);
            await report.WriteAsync(snapshot, csv, httpContext.RequestAborted);
            await csv.EndAsync(httpContext.RequestAborted);
        }
    }
}

/// <summary>Bounds the reports that hold a connection and a snapshot while they go out: three at a time, of one tenant two.</summary>
internal sealed class ReportsBeingWritten
{
    private readonly ReportsInHand _places = new(most: 3, mostOfOne: 2);

    public IDisposable? TryEnter(string tenant) => _places.TryEnter(tenant);
}
