using Microsoft.Extensions.Options;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Imports;

/// <summary>Takes a report in: spools it, reads and stages it, and hands it to the import job.</summary>
internal sealed class ImportIntake(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs,
    ImportStaging staging,
    ReportReading reading,
    SecretKeys keys,
    IOptions<ImportOptions> options,
    TimeProvider clock) : IDisposable
{
    private const int InHandPerPlace = 16;
    private readonly SemaphoreSlim _places = new(options.Value.ConcurrentReports);
    private readonly ReportsInHand _inHand = new(options.Value.ConcurrentReports * InHandPerPlace, options.Value.ConcurrentReports * InHandPerPlace / 2);

    /// <summary>Receives a request's body; it is gone when the request is over.</summary>
    /// <exception cref="RefusedException">Too many are in hand; too large, a compression bomb, an unknown encoding, or damaged compressed data.</exception>
    public async Task<ReportSpool> ReceiveAsync(HttpContext http, string tenant, CancellationToken cancellation)
    {
        http.Response.RegisterForDispose(_inHand.TryEnter(tenant)
            ?? throw new RefusedException(new Refusal(ProblemCodes.Overloaded.Code, "Too many reports are being sent; send this one again in a moment.")));
        try
        {
            var spool = await ReportSpool.ReceiveAsync(
                http.Request.Body, http.Request.Headers.ContentEncoding, options.Value.SpoolDirectory, new SpoolLimits(options.Value.MaxReportBytes), cancellation);
            http.Response.RegisterForDisposeAsync(spool);
            return spool;
        }
        catch (SpoolRefusedException refused)
        {
            throw new RefusedException(new Refusal(refused.Code, refused.Message));
        }
    }

    /// <summary>Stages the report and enqueues its import. On any refusal nothing of the report is kept.</summary>
    /// <param name="import">Its id; the same one again finds the import that was made the first time.</param>
    public async Task<Refusal?> TakeAsync(Guid import, ImportRequest request, ReportSpool spool, CancellationToken cancellation)
    {
        await _places.WaitAsync(cancellation);
        try
        {
            return await StageAsync(import, request, spool, cancellation);
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    private async Task<Refusal?> StageAsync(Guid import, ImportRequest request, ReportSpool spool, CancellationToken cancellation)
    {
        var startedAt = clock.GetUtcNow();
        var began = false;
        try
        {
            if (await jobs.FindAsync(request.Tenant, import, cancellation) is not null)
            {
                return null;
            }

            var secretKey = keys.Of(request.Tenant);
            var detected = request.Format is null
                ? await ReportFormats.DetectAsync(spool.Content, ReportReading.ContextOf(request, secretKey), cancellation)
                : null;
            if ((request.Format ?? detected?.Format) is not { } format)
            {
                return Unrecognised(detected);
            }

            await staging.BeginAsync(request.Tenant, import, startedAt, cancellation);
            began = true;
            var report = await reading.StageAsync(import, request, format, spool, secretKey, cancellation);
            await EnqueueAsync(import, request, format, spool.Digest, startedAt, report, cancellation);
            return null;
        }
        catch (ReportFormatException tooMany) when (request.MaxResults is { } most && tooMany.Code == ReportFormatException.TooMany)
        {
            await staging.DiscardAsync(request.Tenant, import, CancellationToken.None);
            return new Refusal(
                FindingProblems.ReportTooLarge, $"At most {most} findings are taken in one request. {tooMany.Message}",
                [new FieldError(tooMany.Pointer, "is one too many")]);
        }
        catch (ReportFormatException broken)
        {
            await staging.DiscardAsync(request.Tenant, import, CancellationToken.None);
            return new Refusal(FindingProblems.ReportUnreadable, $"{broken.Code}: {broken.Message}", [new FieldError(broken.Pointer, broken.Detail)]);
        }
        catch when (began)
        {
            // Half-staged rows are invisible to everything; what cannot be removed now, a later import removes.
            await DiscardQuietlyAsync(request.Tenant, import);
            throw;
        }
    }

    private static Refusal Unrecognised(DetectedFormat? detected) => detected switch
    {
        { Candidates: { Count: > 0 } candidates } => new Refusal(
            FindingProblems.AmbiguousFormat,
            $"The report is {detected.Peek.Description}, which is {string.Join(" as well as ", candidates.Select(format => format.Name))}; say which with format=.",
            [FieldError.Query("format", "must be given, for more than one recognises the report")]),
        { Peek.IsEmptyArray: true } => new Refusal(
            FindingProblems.UnrecognisedFormat,
            $"The report is {detected.Peek.Description}, which several scanners write when they find nothing; say with format= whose it is.",
            [FieldError.Query("format", "must be given, for an empty array can be anybody's")]),
        _ => new Refusal(
            FindingProblems.UnrecognisedFormat,
            $"The report is {detected?.Peek.Description}, which is none of the formats known: {string.Join(", ", ReportFormats.All.Select(format => format.Name))}.",
            [FieldError.Query("format", "must be given, for none recognises the report")]),
    };

    private async Task EnqueueAsync(Guid import, ImportRequest request, IReportFormat format, byte[] digest, DateTimeOffset startedAt, StagedReport report, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var arguments = new ImportArguments(
            format.Name, request.Scope, request.ScopeFilter, digest, startedAt, request.WithItems,
            await RepeatOfAsync(connection, request, report.Scans, digest, cancellation), request.ExpectEmpty, report.Read, report.Scans, report.Rejections, report.Warnings);
        await jobs.EnqueueAsync(
            connection, NewJob.Of(request.Tenant, import, ImportJob.KindName, arguments, VulnCenterJson.Default.ImportArguments, request.Actor), cancellation);
        await transaction.CommitAsync(cancellation);
        jobs.Wake();
    }

    private static async Task<Guid?> RepeatOfAsync(NpgsqlConnection connection, ImportRequest request, IReadOnlyList<ScanSeen> scans, byte[] digest, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("""
            select id from vuln_center.scan
            where tenant = $1 and (service, source) in (select * from unnest($2::text[], $3::text[])) and report_digest = $4 order by finished_at desc limit 1
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = request.Tenant });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. scans.Select(scan => scan.Service)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. scans.Select(scan => scan.Source)] });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = digest });
        return (Guid?)await command.ExecuteScalarAsync(cancellation);
    }

    private async Task DiscardQuietlyAsync(string tenant, Guid import)
    {
        try
        {
            await staging.DiscardAsync(tenant, import, CancellationToken.None);
        }
        catch (NpgsqlException)
        {
            // The failure that led here is the one to report.
        }
    }
}
