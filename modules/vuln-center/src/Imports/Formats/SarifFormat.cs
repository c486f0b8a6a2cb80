using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>SARIF 2.1.0 (OASIS Standard, errata 01). Rules may follow the results; every run is a scan of its own.</summary>
internal sealed class SarifFormat : IReportFormat
{
    static readonly JsonPaths Paths = new(
        "version", "$schema",
        "runs/*/tool/driver/name", "runs/*/tool/driver/version", "runs/*/tool/driver/semanticVersion",
        "runs/*/tool/driver/rules/*", "runs/*/tool/extensions/*/rules/*",
        "runs/*/automationDetails/id", "runs/*/versionControlProvenance/*", "runs/*/invocations/*", "runs/*/artifacts/*", "runs/*/results/*");

    public string Name => "sarif";
    public string Title => "SARIF 2.1.0";
    public IReadOnlyList<string> Versions => ["2.1.0"];

    /// <summary>
    /// A rule's <c>security-severity</c> decides when there is one (bands as on GitHub); else the level of the result or
    /// its rule.
    /// </summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("security-severity 9.0-10.0", Severity.Critical),
        new("security-severity 7.0-8.9", Severity.High),
        new("security-severity 4.0-6.9", Severity.Medium),
        new("security-severity 0.1-3.9", Severity.Low),
        new("security-severity 0.0", Severity.None),
        new("error", Severity.High),
        new("warning", Severity.Medium),
        new("note", Severity.Low),
        new("none", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek.Has("runs")
        && (peek.Scalar("version")?.StartsWith("2.1.", StringComparison.Ordinal) is true
            || peek.Scalar("$schema")?.Contains("sarif", StringComparison.OrdinalIgnoreCase) is true);

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        RequireSarif(map);
        var sectionsOf = map.Sections.ToLookup(section => section.Pointer[..section.Pointer.IndexOf('/', "/runs/".Length)]);
        for (var index = 0; index < map.Length("/runs"); index++)
        {
            var run = new SarifRun(string.Create(CultureInfo.InvariantCulture, $"/runs/{index}"), map);
            var sections = sectionsOf[run.Pointer].ToList();
            await ReadRulesAsync(report, map, run, sections, cancellationToken);
            var results = sections.Where(section => section.Pattern == "runs/*/results/*").ToList();
            yield return await ScannerAsync(map, run, sections, results.Sum(section => section.Count), cancellationToken);
            var occurrences = new Occurrences();
            foreach (var section in results)
            {
                await foreach (var item in map.ItemsAsync(section, cancellationToken))
                    yield return Read(item, run, occurrences, context);
            }
        }
    }

    static void RequireSarif(JsonMap map)
    {
        var version = map.Scalar("/version");
        if (!map.Has("/runs"))
            throw JsonMap.Foreign("Not a SARIF log: no array 'runs'.");
        if (version is null ? map.Scalar("/$schema")?.Contains("sarif", StringComparison.OrdinalIgnoreCase) is not true : !version.StartsWith("2.1.", StringComparison.Ordinal))
            throw JsonMap.Foreign($"SARIF version '{Bounded.Word(version)}' is not read, only 2.1.0.");
    }

    static async Task ReadRulesAsync(
        Stream report, JsonMap map, SarifRun run, List<JsonSection> sections, CancellationToken cancellationToken)
    {
        foreach (var section in sections)
        {
            var isFiles = section.Pattern == "runs/*/artifacts/*";
            if (!isFiles && !section.Pattern.EndsWith("/rules/*", StringComparison.Ordinal))
                continue;
            int? extension = section.Pattern.Contains("/extensions/", StringComparison.Ordinal)
                ? int.Parse(section.Parent.AsSpan(section.Parent.LastIndexOf('/') + 1), CultureInfo.InvariantCulture)
                : null;
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                if (isFiles)
                    run.AddFile(item);
                else
                    run.AddRule(item, extension);
                if (run.IsTooLarge)
                    throw await new ScanFault(ReportFormatException.TooMany, "The rules and files of one run are larger than 64 million characters.", item.Pointer) { Offset = item.Offset }
                        .LocateAsync(report, cancellationToken);
            }
        }
    }

    static async Task<ReportItem> ScannerAsync(JsonMap map, SarifRun run, List<JsonSection> sections, int results, CancellationToken cancellationToken)
    {
        // §3.14.23: results that are null or missing mean the scan did not get to produce any.
        var failure = map.Has($"{run.Pointer}/results") ? null : "The run has no results: it did not complete, or reports only its configuration.";
        DateTimeOffset? began = null;
        foreach (var section in sections.Where(section => section.Pattern == "runs/*/invocations/*"))
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                using var document = item.Parse();
                if (document.RootElement.Field("executionSuccessful"u8).ValueKind == JsonValueKind.False)
                    failure = "The scanner reports that its run failed.";
                // Section 3.20.7: of several processes of a run the first.
                var start = ReportTimes.OfUtc(document.RootElement.Text("startTimeUtc"u8)) ?? ReportTimes.OfUtc(document.RootElement.Text("endTimeUtc"u8));
                if (start is not null && !(start > began))
                    began = start;
            }
        }
        var (repository, commit) = await ProvenanceAsync(map, sections, cancellationToken);
        return new ReportItem.ScannerSeen(run.Tool)
        {
            Repository = repository,
            Commit = commit,
            Version = Bounded.Word(map.Scalar($"{run.Pointer}/tool/driver/semanticVersion") ?? map.Scalar($"{run.Pointer}/tool/driver/version")),
            Category = Bounded.Identity(map.Scalar($"{run.Pointer}/automationDetails/id")),
            Run = RunOf(Bounded.Identity(map.Scalar($"{run.Pointer}/automationDetails/id"))),
            ScannedAt = began,
            Results = results,
            Failure = failure,
        };
    }

    // §3.14.26: several repositories in one run cannot be told apart by result; then none is named.
    static async Task<(string? Repository, string? Commit)> ProvenanceAsync(JsonMap map, List<JsonSection> sections, CancellationToken cancellationToken)
    {
        if (sections.Where(section => section.Pattern == "runs/*/versionControlProvenance/*").ToList() is not [{ Count: 1 } section])
            return (null, null);
        await foreach (var item in map.ItemsAsync(section, cancellationToken))
        {
            using var document = item.Parse();
            return (Bounded.Identity(document.RootElement.Text("repositoryUri"u8), Bounded.PathLength), Bounded.Word(document.RootElement.Text("revisionId"u8)));
        }
        return (null, null);
    }

    ReportItem Read(JsonItem item, SarifRun run, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var result = document.RootElement;
        if (result.ValueKind != JsonValueKind.Object)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "Expected an object.");
        if (result.Text("kind"u8) is "pass" or "notApplicable")
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.NotAProblem, "The rule passed or does not apply.");
        if (result.Text("baselineState"u8) == "absent")
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Absent, "The result is no longer there.");

        var rule = run.RuleOf(result);
        // A result without any rule (allowed by §3.27.5) is told apart by place and code alone.
        var ruleId = Bounded.Identity(result.Text("ruleId"u8) ?? result.Field("rule"u8).Text("id"u8)) ?? rule?.Id ?? run.Tool;
        var kind = SarifKinds.Of(run.Tool, rule, ruleId);
        var place = SarifPlace.Of(result, run);
        var isSecret = kind == FindingKind.Secret;
        var isSensitive = isSecret || rule?.ShowsCredentials is true;
        var match = isSensitive ? SarifKinds.SecretOf(result) ?? place.Snippet : null;
        var secret = isSecret ? Secrets.Trace(match, context) : null;
        var redaction = Redaction.Of(match, secret);
        place = place with { Scope = place.Scope is { } scope ? redaction.Text(scope) : null };
        var location = place.Locate(isSecret ? null : place.HashSnippet(isSensitive ? context : null));
        var (rawSeverity, severity) = SeverityOf(result, rule);
        var message = isSensitive ? null : SarifMessage.Of(result, rule);
        return new ReportItem.Observed(redaction.Of(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = isSensitive ? item.KeyedHash(context) : item.Hash(),
            Kind = kind,
            RuleId = ruleId,
            Title = Bounded.Title(rule?.Title ?? message ?? ruleId),
            Description = Bounded.Description(string.Join("\n\n", new[] { message, rule?.Description }.OfType<string>().Distinct())),
            RawSeverity = rawSeverity,
            Severity = severity,
            Identifiers = Identifiers.Advisories(SarifKinds.AdvisoryOf(run.Tool, ruleId)),
            Cwes = CwesOf(result, rule),
            Location = location,
            OtherLocations = SarifPlace.OthersOf(result, run),
            Resource = kind == FindingKind.Config ? Bounded.Identity(place.Scope) : null,
            Fingerprints = SarifFingerprints.Of(result, (algorithm, value) => occurrences.Next($"{algorithm}\0{value}", ruleId, place.Path, place.Position)),
            Secret = secret,
            Occurrence = occurrences.Next(
                $"{kind}\0{secret?.Hash ?? location?.SnippetHash ?? location?.ScopeHash}", ruleId, place.Path, $"{place.Position}\0{result.Field("message"u8)}"),
            References = rule?.HelpUri is { } uri ? [uri] : [],
            SuppressedInSource = Suppression(result),
        }, context));
    }

    (string? Raw, Severity Severity) SeverityOf(JsonElement result, SarifRule? rule)
    {
        if ((SarifRule.SeverityNumber(result.Field("properties"u8)) ?? rule?.SecuritySeverity) is { } score)
        {
            var band = score switch
            {
                >= 9.0m => 0,
                >= 7.0m => 1,
                >= 4.0m => 2,
                > 0 => 3,
                _ => 4,
            };
            return (string.Create(CultureInfo.InvariantCulture, $"security-severity {score}"), Severities[band].Severity);
        }
        // §3.27.10: the result's own level, else the rule's, else "warning"; a kind other than "fail" has level "none".
        var level = result.Text("level"u8)
            ?? (result.Text("kind"u8) is not (null or "fail") ? "none" : rule?.Level ?? "warning");
        return (Bounded.Word(level), Severities.Map(level));
    }

    static IReadOnlyList<int> CwesOf(JsonElement result, SarifRule? rule)
    {
        var own = SarifRule.CweProperty(result.Field("properties"u8)).Concat(result.Items("taxa"u8).Select(SarifRule.CweReference));
        var cwes = Identifiers.Cwes(own);
        return rule is null || rule.Cwes.Count == 0 ? cwes : [.. cwes.Union(rule.Cwes).Order()];
    }

    // §3.27.23: suppressed when there are suppressions and none is under review or rejected.
    static SourceSuppression? Suppression(JsonElement result)
    {
        SourceSuppression? first = null;
        foreach (var suppression in result.Items("suppressions"u8))
        {
            if (suppression.Text("status"u8) is "underReview" or "rejected")
                return null;
            var stated = new SourceSuppression(Bounded.Word(suppression.Text("kind"u8)) ?? "suppressed", Bounded.Description(suppression.Text("justification"u8)));
            first = first?.Justification is null && (first is null || stated.Justification is not null) ? stated : first;
        }
        return first;
    }

    // SARIF 2.1.0 section 3.17.3: the last part of a hierarchical id is that of the one run.
    static string? RunOf(string? id) => id?.LastIndexOf('/') is int slash and > 0 ? id[..slash] : id is [.., '/'] or null ? null : id;
}
