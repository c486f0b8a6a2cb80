using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Nuclei's results: JSON Lines (<c>-jsonl</c>, before version 2.9 <c>-json</c>), the array of them (<c>-json-export</c>), or a single one. A raw
/// result is a line or an element. The names of fields differ between versions (<c>templateID</c>, <c>template-id</c>). The
/// rule is the template with its matcher, as Nuclei prints it: <c>tech-detect:nginx</c>. Requests, responses and what was
/// extracted are not kept: they may hold what the template was looking for.
/// </summary>
internal sealed class NucleiFormat : IReportFormat
{
    static readonly JsonPaths Paths = new("*");

    public string Name => "nuclei";
    public string Title => "Nuclei JSON";
    public IReadOnlyList<string> Versions => ["2", "3"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("critical", Severity.Critical),
        new("high", Severity.High),
        new("medium", Severity.Medium),
        new("low", Severity.Low),
        new("info", Severity.Info),
        new("unknown", Severity.Unknown),
    ];

    public bool Recognises(ReportPeek peek) => IsResult(peek, peek.Kind == DocumentKind.JsonObject ? "" : "*/");

    static bool IsResult(ReportPeek peek, string prefix) =>
        (peek.Has($"{prefix}template-id") || peek.Has($"{prefix}templateID")) && peek.HasAll($"{prefix}info", $"{prefix}info/severity");

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadLinesAsync(report, Paths, context, cancellationToken);
        if (map.Sections.Count == 0 || !await map.LooksLikeAsync(map.Sections, raw => TemplateOf(raw) is not null, cancellationToken))
            throw JsonMap.Foreign("Not a Nuclei report: neither lines nor an array of results with a template-id.");

        yield return new ReportItem.ScannerSeen("nuclei")
        {
            ScannedAt = await FirstAsync(map, cancellationToken),
            HostsAreOfResults = true,
            Results = map.Sections.Sum(section => section.Count),
        };
        var occurrences = new Occurrences();
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, occurrences, context);
        }
    }

    // Nuclei writes a result when it has it: the first one is the nearest thing to the scan's beginning.
    static async Task<DateTimeOffset?> FirstAsync(JsonMap map, CancellationToken cancellationToken)
    {
        if (map.Sections is not [var first, ..])
            return null;
        await foreach (var item in map.ItemsAsync(first, cancellationToken))
        {
            using var document = item.Parse();
            return ReportTimes.Of(document.RootElement.Text("timestamp"u8));
        }
        return null;
    }

    static string? TemplateOf(JsonElement raw) => raw.Text("template-id"u8) ?? raw.Text("templateID"u8);

    ReportItem Read(JsonItem item, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (TemplateOf(raw) is not { } template)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "template-id is missing.");
        if (raw.Field("matcher-status"u8).ValueKind == JsonValueKind.False)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.NotAProblem, "The template did not match.");

        var info = raw.Field("info"u8);
        var classification = info.Field("classification"u8);
        var matcher = raw.Text("matcher-name"u8) ?? raw.Text("matcher_name"u8);
        var rule = Bounded.Identity(matcher is null ? template : $"{template}:{matcher}") ?? template;
        var matched = raw.Text("matched-at"u8) ?? raw.Text("matched"u8);
        var web = WebOf(raw, matched);
        var holdsExtract = raw.Items("extracted-results"u8).Any() || raw.Items("extracted_results"u8).Any();
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = holdsExtract ? item.KeyedHash(context) : item.Hash(),
            Kind = FindingKind.Dast,
            RuleId = rule,
            Title = Bounded.Title(info.Text("name"u8) is { } name ? (matcher is null ? name : $"{name}: {matcher}") : rule),
            Description = Bounded.Description(string.Join("\n\n", new[] { info.Text("description"u8), info.Text("remediation"u8) }.OfType<string>())),
            RawSeverity = Bounded.Word(info.Text("severity"u8)),
            Severity = Severities.Map(info.Text("severity"u8)),
            Cvss = Identifiers.Cvss(classification.Text("cvss-metrics"u8), classification.Decimal("cvss-score"u8), null) is { } cvss ? [cvss] : [],
            Identifiers = Identifiers.Advisories([.. classification.Texts("cve-id"u8), classification.Text("cve-id"u8)]),
            Cwes = Identifiers.Cwes([.. classification.Texts("cwe-id"u8), classification.Text("cwe-id"u8)]),
            Web = web,
            Occurrence = occurrences.Next($"{web.Host}\0{web.PathTemplate}", rule, path: null, $"{matched}"),
            References = WebPlaces.Links([.. info.Texts("reference"u8), info.Text("reference"u8)]),
        });
    }

    static WebLocation WebOf(JsonElement raw, string? matched)
    {
        // Of the network protocols "host:port", of the others an address.
        var isAddress = matched?.Contains("://", StringComparison.Ordinal) is true;
        return WebPlaces.Of(method: null, matched, parameter: null, isAddress ? raw.Text("host"u8) : matched ?? raw.Text("host"u8) ?? raw.Text("ip"u8));
    }
}
