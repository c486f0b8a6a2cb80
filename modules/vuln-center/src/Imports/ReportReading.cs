using System.Text.Json.Serialization;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Imports;

/// <summary>What the caller said about the report.</summary>
/// <param name="Format">Null: to be seen from the report.</param>
/// <param name="Service">The service whose findings these are.</param>
/// <param name="WithItems">The answer says for each result what became of it.</param>
/// <param name="MaxResults">More are refused.</param>
/// <param name="Kinds">What was looked for, where the caller says so.</param>
/// <param name="ExpectEmpty">A report without any result means that there is nothing, not that something went wrong.</param>
/// <param name="Source">Overrides the scanner's own name as the source.</param>
/// <param name="ScannedAt">When the scan began, where the caller says so.</param>
internal sealed record ImportRequest(string Tenant, string Actor, IReportFormat? Format, string Service, string? Source, ScanScope Scope, string? ScopeFilter, bool WithItems, int? MaxResults,
    IReadOnlyList<FindingKind>? Kinds, bool ExpectEmpty, string? Repository, string? Commit, DateTimeOffset? ScannedAt);

/// <summary>One scan found in a report, with the id it will have and what it looked at.</summary>
/// <param name="Results">Raw results, those included that were rejected.</param>
/// <param name="RuleSet">Version of the source's rules that its results were keyed by.</param>
/// <param name="Unreadable">Results that may have been anything.</param>
/// <param name="Dismissed">Results that the report itself calls no problem.</param>
/// <param name="Category">The tool's own name of this run of it, where it has several for one service.</param>
/// <param name="Kinds">What it looked for, where the report tells; null: everything.</param>
internal sealed record ScanSeen(
    Guid Scan, string Service, string Source, string Tool, string? ToolVersion, string? Failure, long Results, long Unreadable = 0, string? Category = null,
    IReadOnlyList<FindingKind>? Kinds = null, string? Repository = null, string? Commit = null, int RuleSet = 1, long Dismissed = 0)
{
    /// <summary>When it began, as the caller or the report says; null: when it was received is the best that is known.</summary>
    public DateTimeOffset? BeganAt { get; init; }

    /// <summary>The report lists its hosts, those without a result too.</summary>
    public bool ListsHosts { get; init; }

    /// <summary>Repositories of the images it was of, "" for what is none; empty where the results say themselves.</summary>
    public IReadOnlyList<string> Images { get; init; } = [];

    /// <summary>Hosts it was of, as <see cref="ScanHosts"/> writes them; empty where the report does not say.</summary>
    public IReadOnlyCollection<string> Hosts { get; init; } = [];

    [JsonIgnore]
    public short[]? KindNumbers => Kinds is null ? null : [.. Kinds.Select(kind => (short)kind)];
}

/// <summary>A report that has been read and staged.</summary>
internal sealed record StagedReport(IReadOnlyList<ScanSeen> Scans, long Read, IReadOnlyList<RejectedResult> Rejections, IReadOnlyList<ImportWarning> Warnings);

/// <summary>Reads a spooled report and stages its results, in memory bounded by one batch.</summary>
internal sealed class ReportReading(ImportStaging staging, RuleSets ruleSets)
{
    /// <summary>Rejections listed in the answer; all of them are in the decisions.</summary>
    public const int ListedRejections = 1_000;

    /// <summary>More are not kept, and such a scan closes nothing.</summary>
    public const int MaxHosts = 10_000;

    /// <summary>Different warnings listed in the answer.</summary>
    private const int ListedWarnings = 100;

    /// <exception cref="RefusedException">Nothing of the report says which service it is about.</exception>
    /// <exception cref="ReportFormatException">The document is broken or foreign. The caller discards what was staged.</exception>
    public async Task<StagedReport> StageAsync(Guid import, ImportRequest request, IReportFormat format, ReportSpool spool, ReadOnlyMemory<byte> secretKey, CancellationToken cancellation)
    {
        Dictionary<(string Service, string Source), ScanSeen> scans = [];
        Dictionary<string, SourceRules> rules = new(StringComparer.Ordinal);
        List<StagedResult> batch = new(ImportStaging.BatchSize);
        List<StagedRejection> rejected = [];
        List<RejectedResult> listed = [];
        List<(ReportItem.Rejected Result, string Pointer)> homeless = [];
        Dictionary<string, ImportWarning> warnings = new(StringComparer.OrdinalIgnoreCase);
        var scanner = new ReportItem.ScannerSeen(format.Name);
        var (ordinal, read) = (0, 0L);

        await foreach (var item in format.ReadAsync(spool.Content, ContextOf(request, secretKey), cancellation))
        {
            switch (item)
            {
                case ReportItem.ScannerSeen seen:
                    scanner = seen;
                    if (request.Service.Length > 0)
                    {
                        ScanOf(request.Service, results: 0);
                    }

                    break;
                case ReportItem.Observed { Observation: { Service: { } own } raw } when Names.Of(own) is null:
                    Reject(new ReportItem.Rejected(raw.Pointer, raw.Offset, RejectionCodes.Unreadable, $"service {Names.Must}."), "/service");
                    break;
                case ReportItem.Observed { Observation: var raw } when (raw.Service ?? request.Service) is { Length: > 0 } service:
                    read++;
                    var scan = ScanOf(service, results: 1, raw.ImageRepository, raw);
                    Warn(raw);
                    batch.Add(StagedResult.Of(scan.Service, scan.Source, ordinal++, raw, await RulesOfAsync(scan.Source)));
                    break;
                case ReportItem.Observed { Observation: var raw }:
                    Reject(new ReportItem.Rejected(raw.Pointer, raw.Offset, RejectionCodes.Unreadable, "service is missing, here and in the request."), "/service");
                    break;
                case ReportItem.Rejected { About: { } raw } result when (raw.Service ?? request.Service) is { Length: > 0 } service:
                    read++;
                    var spoken = ScanOf(service, results: 1, raw.ImageRepository, raw);
                    scans[(spoken.Service, spoken.Source)] = spoken with { Dismissed = spoken.Dismissed + 1 };
                    batch.Add(StagedResult.Of(spoken.Service, spoken.Source, ordinal++, raw, await RulesOfAsync(spoken.Source)) with { Dismissed = $"{result.Code}: {result.Reason}" });
                    List(result);
                    break;
                case ReportItem.Rejected result:
                    Reject(result);
                    break;
            }

            if (batch.Count + rejected.Count >= ImportStaging.BatchSize)
            {
                await FlushAsync();
            }
        }

        if (scans.Count == 0 && request.Service.Length > 0)
        {
            ScanOf(request.Service, results: 0);
        }

        House();
        await FlushAsync();

        return new StagedReport(
            [.. scans.Values.Select(scan => rules.TryGetValue(scan.Source, out var known) ? scan with { RuleSet = known.Version } : scan)], read, listed, [.. warnings.Values]);

        // Asked once for each source: a report is keyed by one version, whatever is changed meanwhile.
        async ValueTask<SourceRules> RulesOfAsync(string source) => rules.TryGetValue(source, out var known)
            ? known
            : rules[source] = await ruleSets.CurrentAsync(request.Tenant, source, cancellation);

        async Task FlushAsync()
        {
            await staging.WriteAsync(import, batch, cancellation);
            await staging.WriteRejectionsAsync(import, rejected, cancellation);
            batch.Clear();
            rejected.Clear();
        }

        void Warn(RawObservation raw)
        {
            var severities = (format is GenericFormat or PeopleSource ? PeopleSources.Find(request.Source ?? scanner.Tool) : null)?.Severities ?? format.Severities;
            if (!severities.IsUnmapped(raw) || raw.RawSeverity is not { } word)
            {
                return;
            }

            if (warnings.TryGetValue(word, out var known))
            {
                warnings[word] = known with { Count = known.Count + 1 };
            }
            else if (warnings.Count < ListedWarnings)
            {
                warnings[word] = new ImportWarning(
                    ImportWarning.UnmappedSeverity, raw.Pointer, word, 1, $"The severity '{word}' is none that GET /findings/formats lists; it counts as unknown unless a CVSS vector decides.");
            }
        }

        void Reject(ReportItem.Rejected result, string field = "")
        {
            read++;
            if (request.Service.Length == 0)
            {
                homeless.Add((result, result.Pointer + field));
                List(result);
                return;
            }

            var scan = ScanOf(request.Service, results: 1);
            if (result.Code == RejectionCodes.Unreadable)
            {
                scans[(scan.Service, scan.Source)] = scan with { Unreadable = scan.Unreadable + 1 };
            }

            rejected.Add(new StagedRejection(scan.Service, scan.Source, result.Pointer, result.Code, result.Reason));
            List(result);
        }

        // What names no service is counted with the first scan of the report. It might have been a result of any of them.
        void House()
        {
            if (scans.Count == 0)
            {
                throw new RefusedException(new Refusal(
                    FindingProblems.ReportUnreadable, "Nothing in the report says which service it is about: name it in the request, in the report or in each finding.",
                    homeless.Count == 0
                        ? [new FieldError("/service", "is missing, here and in the request")]
                        : [.. homeless.Take(ListedRejections).Select(one => new FieldError(one.Pointer, one.Result.Reason.TrimEnd('.')))]));
            }

            var unreadable = homeless.Count(one => one.Result.Code == RejectionCodes.Unreadable);
            var home = scans.First().Value;
            foreach (var (key, scan) in scans.ToList())
            {
                scans[key] = scan with { Unreadable = scan.Unreadable + unreadable, Results = scan.Results + (scan.Scan == home.Scan ? homeless.Count : 0) };
            }

            rejected.AddRange(homeless.Select(one => new StagedRejection(home.Service, home.Source, one.Result.Pointer, one.Result.Code, one.Result.Reason)));
        }

        void List(ReportItem.Rejected result)
        {
            if (listed.Count < ListedRejections)
            {
                listed.Add(new RejectedResult(result.Pointer, result.Code, result.Reason));
            }
        }

        // Several runs of one tool are one scan of a service; it failed if any of them did, and covers what all of them did.
        ScanSeen ScanOf(string service, int results, string? image = null, RawObservation? raw = null)
        {
            var source = request.Source ?? SourceName(scanner.Tool, format.Name);
            var image0 = Identifiers.ImageRepository(scanner.Image) ?? "";
            var known = scans.GetValueOrDefault((service, source))
                ?? new ScanSeen(Guid.CreateVersion7(), service, source, scanner.Tool, scanner.Version, Failure: null, Results: 0, Category: scanner.Run, Repository: request.Repository ?? scanner.Repository, Commit: request.Commit ?? scanner.Commit)
                {
                    Images = [image0],
                    ListsHosts = scanner.Hosts.Count > 0,
                    Hosts = new HashSet<string>(scanner.Hosts, StringComparer.Ordinal),
                    Kinds = request.Kinds ?? scanner.Kinds,
                };
            if (known.Hosts is HashSet<string> { Count: <= MaxHosts } hosts)
            {
                hosts.UnionWith(scanner.HostsAreOfResults && raw is not null && ScanHosts.Of(raw) is { } host ? [host] : results == 0 ? scanner.Hosts : []);
            }

            return scans[(service, source)] = known with
            {
                Failure = known.Failure ?? scanner.Failure,
                BeganAt = request.ScannedAt ?? (known.BeganAt < scanner.ScannedAt ? known.BeganAt : scanner.ScannedAt ?? known.BeganAt),
                Results = known.Results + results,
                Category = known.Category == scanner.Run ? known.Category : null,
                Kinds = request.Kinds ?? (known.Kinds is { } kinds && scanner.Kinds is { } more ? [.. kinds.Union(more)] : null),
                Images = known.Images.Count == 0 || (image ?? image0) != image0 ? [] : known.Images.Contains(image0) ? known.Images : [.. known.Images, image0],
            };
        }
    }

    internal static ReportContext ContextOf(ImportRequest request, ReadOnlyMemory<byte> secretKey)
    {
        var context = new ReportContext { SecretKey = secretKey, Source = request.Source };
        return request.MaxResults is { } most ? context with { MaxElements = most } : context;
    }

    /// <summary>A tool's name as a source; the format's where it holds no word.</summary>
    private static string SourceName(string tool, string format) => Names.SourceOf(tool) ?? format;
}
