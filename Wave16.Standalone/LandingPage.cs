using System.Net;
using System.Text;
using Wave16.Neighbours;
using Wave16.ServiceDefaults;

namespace Wave16.Standalone;

/// <summary><c>GET /</c>: the modules with their health and links. One page, no script, nothing from elsewhere.</summary>
internal static class LandingPage
{
    public static void MapLandingPage(this IEndpointRouteBuilder app) =>
        app.MapGet("/", (IEnumerable<IReadiness> readiness, DependencyHealth dependencies) =>
                Results.Content(Render([.. readiness], dependencies.Reports), "text/html; charset=utf-8"))
            .AllowAnonymous().ExcludeFromDescription();

    private static string Render(IReadOnlyList<IReadiness> readiness, IReadOnlyList<DependencyReport> dependencies)
    {
        var waiting = readiness.Where(part => part.NotReadyBecause is not null).ToList();
        var page = new StringBuilder($$"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="refresh" content="5">
            <link rel="icon" href="data:,">
            <title>Wave 16</title>
            <style>
            :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
            body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1.5rem; }
            h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .4rem; }
            table { width: 100%; border-collapse: collapse; } td, th { padding: .45rem .8rem .45rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
            th { font-weight: 600; font-size: .85rem; opacity: .7; border: 0; }
            .state { white-space: nowrap; } .state::before { content: ""; display: inline-block; width: .65em; height: .65em; border-radius: 50%; margin-right: .5em; background: var(--dot); }
            .healthy { --dot: #2e9e5b; } .degraded, .starting { --dot: #d18b00; } .not-configured { --dot: #8a8f98; }
            code { font: .9em ui-monospace, monospace; } a { color: inherit; text-underline-offset: .2em; }
            p { margin: .3rem 0; }
            </style>
            </head>
            <body>
            <h1>Wave 16</h1>
            <p>{{(waiting.Count == 0 ? "Everything is ready." : "Starting: " + Encode(string.Join("; ", waiting.Select(part => $"{part.Name}: {part.NotReadyBecause}"))))}}
            <a href="/backlog">findings backlog</a> · <a href="/scalar">API reference</a> · <a href="/health">health</a></p>
            <h2>Modules</h2>
            <table><tr><th>Module</th><th>State</th><th>What it is for</th><th>Links</th></tr>
            """);
        foreach (var module in StandaloneHost.Modules)
        {
            var reason = waiting.FirstOrDefault(part => part.Name.Contains(module.Name, StringComparison.Ordinal) || part.Name == "silo")?.NotReadyBecause;
            page.Append($"""
                <tr><td><code>{module.Name}</code></td>
                <td class="state {(reason is null ? "healthy" : "starting")}">{(reason is null ? "ready" : Encode(reason))}</td>
                <td>{Encode(module.Title)}</td>
                <td><a href="/scalar/{module.Name}">reference</a> · <a href="/openapi/{module.Name}.json">OpenAPI</a></td></tr>

                """);
        }

        page.Append("</table>\n<h2>Dependencies</h2>\n<table><tr><th>Name</th><th>State</th><th>Since</th><th></th></tr>\n");
        foreach (var report in dependencies)
        {
            var state = System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(report.State.ToString());
            page.Append($"""
                <tr><td><code>{Encode(report.Name)}</code></td><td class="state {state}">{state}</td><td>{report.Since:u}</td><td>{Encode(report.Detail ?? "")}</td></tr>

                """);
        }

        page.Append("""
            </table>
            <h2>Neighbours</h2>
            <p>Stand-ins for the systems around Wave 16, in memory. <code>PUT /neighbours/{name}/faults</code> makes one misbehave.</p>
            <table><tr><th>System</th><th>Links</th></tr>

            """);
        foreach (var name in NeighboursExtensions.Names)
        {
            page.Append($"""<tr><td><code>{name}</code></td><td><a href="/neighbours/{name}/received">received</a> · <a href="/neighbours/{name}/faults">faults</a></td></tr>""").Append('\n');
        }

        return page.Append("</table>\n</body>\n</html>\n").ToString();
    }

    private static string Encode(string text) => WebUtility.HtmlEncode(text);
}
