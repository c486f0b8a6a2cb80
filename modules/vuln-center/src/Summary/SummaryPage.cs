using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Summary;

/// <summary>The summary as one page: no script, nothing from elsewhere, every number also as text. Colours only repeat what place and label say.</summary>
internal static class SummaryPage
{
    private const int Rows = 25;
    private const int NameLength = 300;

    // What is below low is one column; few have any, and nobody plans by it.
    private static readonly (string Name, string Title, string Letter, string[] Of)[] Severities =
    [
        ("critical", "Critical", "C", ["critical"]),
        ("high", "High", "H", ["high"]),
        ("medium", "Medium", "M", ["medium"]),
        ("low", "Low", "L", ["low"]),
        ("other", "Other", "O", ["info", "none", "unknown"]),
    ];

    private static readonly (string Name, string Title, string Sign)[] Deadlines =
    [
        ("breached", "Breached", "✕"),
        ("warned", "Due soon", "!"),
        ("running", "In time", "✓"),
        ("paused", "Paused", "‖"),
        ("none", "No deadline", "–"),
    ];

    private static readonly string Style = PageStyle.Text;

    /// <summary>For the page itself and for whoever shows it within a page of theirs.</summary>
    public static readonly string StyleHash = $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Style)))}'";

    public static readonly string ContentSecurityPolicy =
        $"default-src 'none'; style-src {StyleHash}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

    public static string Render(FindingSummary summary)
    {
        var page = new StringBuilder(32_768);
        page.Append($"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <link rel="icon" href="data:,">
            <title>Findings: {Encode(summary.Service ?? "all services")}</title>
            <style>{Style}</style>
            </head>
            <body>
            <header><h1>{(summary.Service is { } service ? $"<span>Findings of</span> {Name(service)}" : "Findings")}</h1>
            <p>{summary.At.UtcDateTime.ToString("d MMMM yyyy, HH:mm", CultureInfo.InvariantCulture)} UTC</p></header>

            """);
        if (summary.Open == 0 && summary.Suppressed == 0 && summary.Weeks.All(week => week is { Opened: 0, Reopened: 0, Closed: 0 }))
        {
            page.Append("""
                <main class="empty"><p><strong>Nothing is open.</strong></p>
                <p>No finding has come in or gone in the last 13 weeks. If that is a surprise, look whether reports arrive: import one, and it stands here at once.</p></main>

                """);
        }
        else
        {
            page.Append("<main>\n");
            Tiles(page, summary);
            Flow(page, summary.Weeks);
            Aging(page, summary.Aging);
            Services(page, summary);
            page.Append("<div class=\"side\">\n");
            Deadline(page, summary.Sla);
            Fixes(page, summary.TimeToFix);
            Movers(page, summary.Movers);
            page.Append("</div>\n</main>\n");
        }

        return page.Append("</body>\n</html>\n").ToString();
    }

    private static void Tiles(StringBuilder page, FindingSummary summary)
    {
        var closed = summary.TimeToFix.Sum(fix => fix.Closed);
        page.Append("<section class=\"tiles\" aria-label=\"Key figures\">\n");
        Tile("Open", Number(summary.Open), $"in {Number(summary.ServiceCount)} {(summary.ServiceCount == 1 ? "service" : "services")}");
        Tile("Critical", Number(Of(summary.BySeverity, Severities[0])), "open", Of(summary.BySeverity, Severities[0]) > 0 ? "alarm" : "");
        Tile("Past deadline", Number(summary.Sla["breached"]), $"{Number(summary.Sla["warned"])} more due soon", summary.Sla["breached"] > 0 ? "alarm" : "");
        Tile("Known exploited", Number(summary.KnownExploited), "open, in CISA’s catalog", summary.KnownExploited > 0 ? "alarm" : "");
        Tile("Time to fix", closed == 0 ? "–" : Days(summary.TimeToFix.Sum(fix => fix.Days * fix.Closed) / closed), closed == 0 ? "nothing fixed in 90 days" : $"on average, {Number(closed)} fixed in 90 days");
        Tile("Suppressed", Number(summary.Suppressed), "set aside for a time");
        page.Append("</section>\n");

        void Tile(string title, string value, string note, string mark = "") =>
            page.Append($"<div class=\"tile {mark}\"><h2>{title}</h2><p class=\"figure\">{value}</p><p class=\"note\">{note}</p></div>\n");
    }

    private static void Flow(StringBuilder page, IReadOnlyList<WeekFlow> weeks)
    {
        const int width = 780, half = 126, axis = 156, step = 60, bar = 40;
        var most = Math.Max(1, weeks.Max(week => Math.Max(week.Opened + week.Reopened, week.Closed)));
        var net = weeks.Sum(week => week.Opened + week.Reopened - week.Closed);
        page.Append($"""
            <section class="wide"><h2>Opened and fixed per week</h2>
            <p class="note">In {weeks.Count} weeks the backlog {(net switch { > 0 => $"grew by {Number(net)}", < 0 => $"shrank by {Number(-net)}", _ => "stayed as large as it was" })}.</p>
            <svg viewBox="0 0 {width} 350" role="img" aria-label="Findings opened above the line and fixed below it, week by week">
            <defs><pattern id="again" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="again-ground" width="6" height="6"/><rect class="again-line" width="2.5" height="6"/></pattern></defs>

            """);
        for (var i = 0; i < weeks.Count; i++)
        {
            var week = weeks[i];
            var x = (i * step) + ((step - bar) / 2);
            var (opened, reopened, closed) = (Length(week.Opened), Length(week.Reopened), Length(week.Closed));
            var label = week.Week.ToString("d MMM", CultureInfo.InvariantCulture);
            page.Append(CultureInfo.InvariantCulture, $"""
                <g><title>Week of {label}: {Number(week.Opened)} new, {Number(week.Reopened)} open again, {Number(week.Closed)} fixed</title>
                <rect class="opened" x="{x}" y="{axis - opened:0.#}" width="{bar}" height="{opened:0.#}"/><rect fill="url(#again)" x="{x}" y="{axis - opened - reopened:0.#}" width="{bar}" height="{reopened:0.#}"/>
                <rect class="closed" x="{x}" y="{axis:0.#}" width="{bar}" height="{closed:0.#}"/>
                <text class="value" x="{x + (bar / 2)}" y="{axis - opened - reopened - 6:0.#}">{Short(week.Opened + week.Reopened)}</text><text class="value" x="{x + (bar / 2)}" y="{axis + closed + 17:0.#}">{Short(week.Closed)}</text>
                <text class="tick" x="{x + (bar / 2)}" y="336">{(i % 2 == weeks.Count % 2 ? "" : label)}</text></g>

                """);
        }

        page.Append($"""
            <line class="axis" x1="0" x2="{width}" y1="{axis}" y2="{axis}"/></svg>
            <p class="legend"><span><span class="key opened"></span>▲ new</span> <span><span class="key again"></span>▲ open again</span> <span><span class="key closed"></span>▼ fixed</span> <span>the last week is under way</span></p></section>

            """);

        double Length(long count) => (double)count / most * half;
    }

    private static void Aging(StringBuilder page, IReadOnlyList<AgeBucket> buckets)
    {
        page.Append("<section><h2>Age of what is open</h2>\n");
        var most = Math.Max(1, buckets.Max(bucket => bucket.Open));
        page.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 430 {buckets.Count * 56}\" role=\"img\" aria-label=\"Open findings by days since they were first seen, by severity\">\n");
        for (var i = 0; i < buckets.Count; i++)
        {
            var (bucket, y) = (buckets[i], (i * 56) + 6);
            page.Append(CultureInfo.InvariantCulture, $"<text class=\"row\" x=\"0\" y=\"{y + 28}\">{bucket.Days.Replace('-', '–')} d</text>\n");
            Stack(page, bucket.BySeverity, 92, y, 262.0 * bucket.Open / most, bucket.Open);
            page.Append(CultureInfo.InvariantCulture, $"<text class=\"row total\" x=\"{(262.0 * bucket.Open / most) + 102:0.#}\" y=\"{y + 28}\">{Short(bucket.Open)}</text>\n");
        }

        page.Append("</svg>\n");
        Legend(page);
        page.Append("</section>\n");
    }

    private static void Stack(StringBuilder page, IReadOnlyDictionary<string, long> counts, double x, int y, double length, long whole)
    {
        foreach (var severity in Severities)
        {
            var count = Of(counts, severity);
            if (count == 0)
            {
                continue;
            }

            var width = length * count / whole;
            page.Append(CultureInfo.InvariantCulture, $"<rect class=\"{severity.Name} part\" x=\"{x:0.#}\" y=\"{y}\" width=\"{width:0.#}\" height=\"42\"><title>{severity.Title}: {Number(count)}</title></rect>");
            var text = width > 58 ? $"{severity.Letter} {Short(count)}" : width > 18 ? severity.Letter : "";
            if (text.Length > 0)
            {
                page.Append(CultureInfo.InvariantCulture, $"<text class=\"inside on-{severity.Name}\" x=\"{x + (width / 2):0.#}\" y=\"{y + 27}\">{text}</text>");
            }

            x += width;
        }

        page.Append('\n');
    }

    private static void Deadline(StringBuilder page, IReadOnlyDictionary<string, long> sla)
    {
        var whole = Math.Max(1, Deadlines.Sum(deadline => sla[deadline.Name]));
        var ended = sla["met"] + sla["missed"];
        page.Append("<section><h2>Deadlines</h2>\n<svg viewBox=\"0 0 430 60\" role=\"img\" aria-label=\"Open findings by where their deadline stands\">\n");
        var x = 0.0;
        foreach (var (name, title, sign) in Deadlines)
        {
            var width = 430.0 * sla[name] / whole;
            page.Append(CultureInfo.InvariantCulture, $"<rect class=\"{name} part\" x=\"{x:0.#}\" y=\"2\" width=\"{width:0.#}\" height=\"52\"><title>{title}: {Number(sla[name])}</title></rect>");
            if (width > 22)
            {
                page.Append(CultureInfo.InvariantCulture, $"<text class=\"inside on-{name}\" x=\"{x + (width / 2):0.#}\" y=\"34\">{sign}</text>");
            }

            x += width;
        }

        page.Append("</svg>\n<table class=\"plain\"><tbody>\n");
        foreach (var (name, title, sign) in Deadlines)
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\"><span class=\"key {name}\"></span>{sign} {title}</th><td>{Number(sla[name])}</td><td class=\"note\">{100.0 * sla[name] / whole:0} %</td></tr>\n");
        }

        page.Append(CultureInfo.InvariantCulture, $"</tbody></table>\n<p class=\"note\">{(ended == 0 ? "Nothing with a deadline has been fixed yet." : $"{100.0 * sla["met"] / ended:0} % of the {Number(ended)} that were fixed were fixed in time.")}</p></section>\n");
    }

    private static void Fixes(StringBuilder page, IReadOnlyList<TimeToFix> fixes)
    {
        page.Append("<section><h2>Time to fix, last 90 days</h2>\n");
        if (fixes.Count == 0)
        {
            page.Append("<p>Nothing has been fixed in the last 90 days.</p></section>\n");
            return;
        }

        var most = Math.Max(0.1, fixes.Max(fix => fix.Days));
        page.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 430 {fixes.Count * 50}\" role=\"img\" aria-label=\"Average days from opening to the fix, by severity\">\n");
        for (var i = 0; i < fixes.Count; i++)
        {
            var (fix, y) = (fixes[i], (i * 50) + 4);
            var name = FindingFilter.KebabCase(fix.Severity);
            var severity = Array.Find(Severities, severity => severity.Of.Contains(name));
            var width = Math.Max(2, 170 * fix.Days / most);
            page.Append(CultureInfo.InvariantCulture, $"""
                <text class="row" x="0" y="{y + 27}">{name[..1].ToUpperInvariant()}{name[1..]}</text><rect class="{severity.Name} part" x="92" y="{y + 2}" width="{width:0.#}" height="36"/><text class="row total" x="{width + 102:0.#}" y="{y + 27}">{Days(fix.Days)}</text><text class="tick end" x="430" y="{y + 27}">{Short(fix.Closed)} fixed</text>

                """);
        }

        page.Append("</svg></section>\n");
    }

    private static void Services(StringBuilder page, FindingSummary summary)
    {
        var shown = summary.Services.Take(Rows).ToList();
        page.Append("<section class=\"wide\"><h2>Services, worst first</h2>\n<table class=\"heat\"><thead><tr><th scope=\"col\">Service</th>");
        foreach (var severity in Severities)
        {
            page.Append($"<th scope=\"col\"><span class=\"key {severity.Name}\"></span>{severity.Title}</th>");
        }

        page.Append("<th scope=\"col\">Open</th></tr></thead><tbody>\n");
        var most = Severities.Select(severity => shown.Select(service => Of(service.BySeverity, severity)).DefaultIfEmpty().Max()).ToList();
        foreach (var service in shown)
        {
            page.Append($"<tr><th scope=\"row\" title=\"{Encode(service.Service)}\">{Name(service.Service)}</th>");
            for (var i = 0; i < Severities.Length; i++)
            {
                var count = Of(service.BySeverity, Severities[i]);
                page.Append(CultureInfo.InvariantCulture, $"<td class=\"{Severities[i].Name} heat{Heat(count, most[i])}\">{(count == 0 ? "·" : Number(count))}</td>");
            }

            page.Append($"<td class=\"total\">{Number(service.Open)}</td></tr>\n");
        }

        if (summary.ServiceCount > shown.Count)
        {
            page.Append($"<tr class=\"rest\"><th scope=\"row\">{Number(summary.ServiceCount - shown.Count)} more</th>");
            foreach (var severity in Severities)
            {
                page.Append($"<td>{Number(Of(summary.BySeverity, severity) - shown.Sum(service => Of(service.BySeverity, severity)))}</td>");
            }

            page.Append($"<td class=\"total\">{Number(summary.Open - shown.Sum(service => service.Open))}</td></tr>\n");
        }

        page.Append("</tbody></table></section>\n");
    }

    private static void Movers(StringBuilder page, IReadOnlyList<ServiceMove> movers)
    {
        if (movers.Count == 0)
        {
            return;
        }

        page.Append("<section><h2>Biggest movers, last four weeks</h2>\n");
        Half("Growing", "▲", [.. movers.Where(move => move.Opened > move.Closed).Take(5)]);
        Half("Shrinking", "▼", [.. movers.Where(move => move.Opened < move.Closed).Reverse().Take(5)]);
        page.Append("</section>\n");

        void Half(string title, string sign, IReadOnlyList<ServiceMove> half)
        {
            page.Append($"<div><h3>{title}</h3>");
            page.Append(half.Count == 0 ? "<p class=\"note\">None.</p>" : "<table class=\"plain\"><tbody>\n");
            foreach (var move in half)
            {
                page.Append($"<tr><th scope=\"row\" title=\"{Encode(move.Service)}\">{Name(move.Service)}</th><td>{sign}&nbsp;{Number(Math.Abs(move.Opened - move.Closed))}</td><td class=\"note\">{Short(move.Opened)} opened, {Short(move.Closed)} fixed</td></tr>\n");
            }

            page.Append(half.Count == 0 ? "</div>\n" : "</tbody></table></div>\n");
        }
    }

    private static void Legend(StringBuilder page)
    {
        page.Append("<p class=\"legend\">");
        foreach (var severity in Severities)
        {
            page.Append($"<span><span class=\"key {severity.Name}\"></span>{severity.Letter} {severity.Title.ToLowerInvariant()}</span> ");
        }

        page.Append("</p>\n");
    }

    // By magnitude: one service with thousands must not make all others look harmless.
    private static int Heat(long count, long most) => count == 0 ? 0 : Math.Clamp((int)Math.Ceiling(5 * Math.Log(count + 1) / Math.Log(most + 1)), 1, 5);

    private static long Of(IReadOnlyDictionary<string, long> counts, (string Name, string Title, string Letter, string[] Of) severity) =>
        severity.Of.Sum(name => counts.GetValueOrDefault(name));

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Short(long number) => number switch
    {
        < 1_000 => Number(number),
        < 10_000 => (number / 1_000.0).ToString("0.#", CultureInfo.InvariantCulture) + "k",
        < 1_000_000 => (number / 1_000).ToString(CultureInfo.InvariantCulture) + "k",
        _ => (number / 1_000_000.0).ToString("0.#", CultureInfo.InvariantCulture) + "M",
    };

    private static string Days(double days) => $"{days.ToString(days < 10 ? "0.0" : "0", CultureInfo.InvariantCulture)} d";

    // Whichever way its script runs, a name stays in its place.
    private static string Name(string text) => $"<bdi>{Encode(text.Length > NameLength ? text[..NameLength] + "…" : text)}</bdi>";

    private static string Encode(string text) => WebUtility.HtmlEncode(text);
}
