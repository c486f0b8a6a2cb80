using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// ZAP's JSON report, the traditional one and the one with requests. A raw result is an element of an alert's
/// <c>instances</c>, or an alert that lists none. Attack and evidence are not kept: they quote what the site answered.
/// </summary>
internal static class ZapJson
{
    static readonly JsonPaths Paths = new("@programName", "@version", "created", "site/*/@name", "site/*/@host", "site/*/alerts/*");

    /// <summary>Not GitLab's report, which holds one of ZAP next to its own vulnerabilities.</summary>
    public static bool Recognises(ReportPeek peek) => !peek.Has("vulnerabilities")
        && ((peek.Has("site") && peek.Scalar("@programName")?.Contains("ZAP", StringComparison.OrdinalIgnoreCase) is true) || peek.HasAll("@version", "site/*/@name", "site/*/alerts"));

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, IReadOnlyList<SeverityMapping> severities, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        if (!map.Has("/site") || !(map.Has("/@programName") || map.Has("/@version")))
            throw JsonMap.Foreign("Not a ZAP report: no array 'site', or no @version.");
        var sites = map.Sections.Select(section => map.Scalar($"{section.Parent}/@name")).Distinct().Take(2).ToList();
        yield return new ReportItem.ScannerSeen("zap")
        {
            Version = Bounded.Word(map.Scalar("/@version")),
            ScannedAt = ReportTimes.Of(map.Scalar("/created")),
            Category = sites is [var site] ? Bounded.Identity(site) : null,
            Hosts = [.. Enumerable.Range(0, map.Length("/site")).Select(i => ScanHosts.Of(map.Scalar(string.Create(CultureInfo.InvariantCulture, $"/site/{i}/@name")))).OfType<string>().Distinct(StringComparer.Ordinal)],
            Results = await map.CountAsync(map.Sections, alert => Math.Max(1, alert.Children("instances").Count()), context, cancellationToken),
        };
        foreach (var section in map.Sections)
        {
            var host = map.Scalar($"{section.Parent}/@host");
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                using var alert = item.Parse();
                var isAlone = true;
                foreach (var child in item.Children("instances"))
                {
                    isAlone = false;
                    using var instance = child.Parse();
                    yield return Read(child, alert.RootElement, instance.RootElement, host, severities);
                }
                if (isAlone)
                    yield return Read(item, alert.RootElement, alert.RootElement, host, severities);
            }
        }
    }

    static ReportItem Read(JsonItem item, JsonElement alert, JsonElement instance, string? host, IReadOnlyList<SeverityMapping> severities)
    {
        // An alert's reference tells the checks of one plugin apart: 10055-4 and 10055-5.
        if (Bounded.Identity(alert.Text("alertRef"u8) ?? alert.Text("pluginid"u8)) is not { } rule)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "pluginid is missing.");
        var web = WebPlaces.Of(instance.Text("method"u8), instance.Text("uri"u8), instance.Text("param"u8), host);
        if (web.Host is null || web.PathTemplate is null)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "uri is missing or is no URL.");
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Dast,
            RuleId = rule,
            Title = Bounded.Title(alert.Text("name"u8) ?? alert.Text("alert"u8) ?? rule),
            Description = Bounded.Description(string.Join("\n\n", new[] { alert.Text("desc"u8), alert.Text("solution"u8) }.OfType<string>())),
            RawSeverity = Bounded.Word(alert.Text("riskcode"u8)),
            Severity = severities.Map(alert.Text("riskcode"u8)),
            Cwes = Identifiers.Cwes([alert.Text("cweid"u8)]),
            Web = web,
            References = WebPlaces.Links(alert.Text("reference"u8)),
        };
        return alert.Text("confidence"u8) == "0" ? observation.Dismissed("Marked as a false positive in ZAP.") : new ReportItem.Observed(observation);
    }
}
