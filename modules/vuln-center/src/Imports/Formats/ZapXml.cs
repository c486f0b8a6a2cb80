using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// ZAP's XML report, the traditional one and the one with requests. A raw result is an <c>instance</c> of an alert, or an
/// alert that lists none (ZAP before 2.5). What stands after the instances (CWE, references) belongs to each of them. Attack,
/// evidence, requests and responses are not kept: they quote what the site answered.
/// </summary>
internal static class ZapXml
{
    const string Site = "OWASPZAPReport/site";
    const string Alert = $"{Site}/alerts/alertitem";

    static readonly XmlPaths Paths = new(Site, Alert, $"{Alert}/instances/instance");

    public static bool Recognises(ReportPeek peek) => peek is { XmlRoot: "OWASPZAPReport", XmlNamespace: "" };

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, IReadOnlyList<SeverityMapping> severities, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await XmlMap.ReadAsync(report, Paths, context, cancellationToken);
        var alerts = map.Places.Where(place => place.Name == "alertitem").ToList();
        var sites = alerts.Select(alert => alert.Within("site")?.Attribute("name")).Distinct().Take(2).ToList();
        yield return new ReportItem.ScannerSeen("zap")
        {
            Version = Bounded.Word(map.Root.Attribute("version")),
            ScannedAt = ReportTimes.Of(map.Root.Attribute("created")),
            Category = sites is [var site] ? Bounded.Identity(site) : null,
            Hosts = [.. map.Places.Where(place => place.Name == "site").Select(place => ScanHosts.Of(place.Attribute("name"))).OfType<string>().Distinct(StringComparer.Ordinal)],
            Results = alerts.Sum(alert => Math.Max(1, alert.Sections.Sum(section => section.Count))),
        };
        foreach (var alert in alerts)
        {
            var head = await map.HeadAsync(alert, cancellationToken);
            if (alert.Sections.Count == 0)
            {
                var whole = await map.WholeAsync(alert, cancellationToken);
                yield return Read(whole, head, head, alert, severities);
            }
            foreach (var section in alert.Sections)
            {
                await foreach (var item in map.ItemsAsync(section, cancellationToken))
                    yield return Read(item, head, item.Parse(), alert, severities);
            }
        }
    }

    static ReportItem Read(XmlItem item, XElement alert, XElement instance, XmlPlace place, IReadOnlyList<SeverityMapping> severities)
    {
        // An alert's reference tells the checks of one plugin apart: 10055-4 and 10055-5.
        if (Bounded.Identity(alert.Text("alertRef") ?? alert.Text("pluginid")) is not { } rule)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "pluginid is missing.");
        var web = WebPlaces.Of(instance.Text("method"), instance.Text("uri"), instance.Text("param"), place.Within("site")?.Attribute("host"));
        if (web.Host is null || web.PathTemplate is null)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "uri is missing or is no URL.");
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Dast,
            RuleId = rule,
            Title = Bounded.Title(alert.Text("name") ?? alert.Text("alert") ?? rule),
            Description = Bounded.Description(string.Join("\n\n", new[] { alert.Text("desc"), alert.Text("solution") }.OfType<string>())),
            RawSeverity = Bounded.Word(alert.Text("riskcode")),
            Severity = severities.Map(alert.Text("riskcode")),
            Cwes = Identifiers.Cwes([alert.Text("cweid")]),
            Web = web,
            References = WebPlaces.Links(alert.Text("reference")),
        };
        return alert.Text("confidence") == "0" ? observation.Dismissed("Marked as a false positive in ZAP.") : new ReportItem.Observed(observation);
    }
}
