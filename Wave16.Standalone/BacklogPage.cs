using System.Security.Cryptography;
using System.Text;

namespace Wave16.Standalone;

/// <summary>
/// <c>GET /backlog</c>: shows <c>/findings/summary</c> to a browser, which cannot send a token from its address bar. It asks for a
/// development token, as anyone may here, or takes one; the summary comes into a frame that runs no script.
/// </summary>
internal static class BacklogPage
{
    private const string Style = """
        :root { color-scheme: light dark; } html, body { height: 100%; margin: 0; } body { display: flex; flex-direction: column; font: 16px/1.4 system-ui, sans-serif; }
        form { display: flex; flex-wrap: wrap; gap: .5rem .8rem; align-items: center; padding: .5rem 1rem; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
        input { font: inherit; padding: .25rem .5rem; width: 12rem; } button { font: inherit; padding: .25rem .8rem; } a { color: inherit; } output { margin-left: auto; opacity: .75; } iframe { flex: 1; border: 0; width: 100%; }
        @media print { form { display: none; } iframe { height: 100%; } }
        """;

    // The token stays in this page and is gone with it.
    private const string Script = """
        const form = document.querySelector('form'), frame = document.querySelector('iframe'), told = document.querySelector('output');
        let development = null, tag = null, asked = 0;
        async function token() {
          if (form.token.value) return form.token.value;
          if (!development) {
            const answer = await fetch('/dev/token', { method: 'POST' });
            if (!answer.ok) throw new Error('There are no development tokens here: paste a token.');
            development = (await answer.json()).access_token;
          }
          return development;
        }
        async function show() {
          const mine = ++asked;
          try {
            const service = form.service.value.trim();
            const headers = { authorization: 'Bearer ' + await token() };
            if (tag) headers['if-none-match'] = tag;
            const answer = await fetch('/findings/summary?format=html' + (service ? '&service=' + encodeURIComponent(service) : ''), { headers, cache: 'no-store' });
            if (mine !== asked) return;
            if (answer.status === 401) development = null;
            if (answer.status !== 304) {
              if (!answer.ok) throw new Error((await answer.json()).detail || 'The answer was ' + answer.status + '.');
              frame.srcdoc = await answer.text();
              tag = answer.headers.get('etag');
            }
            told.textContent = 'as of ' + new Date().toLocaleTimeString();
          } catch (failure) { if (mine === asked) told.textContent = failure.message; }
        }
        form.addEventListener('submit', event => { event.preventDefault(); tag = null; show(); });
        setInterval(() => { if (!document.hidden) show(); }, 60000);
        show();
        """;

    private static readonly string Page = $"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <title>Findings</title>
        <style>{Style}</style>
        </head>
        <body>
        <form><a href="/">Wave 16</a> <label>Service <input name="service" placeholder="all" autocomplete="off"></label> <label>Token <input name="token" type="password" placeholder="development" autocomplete="off"></label> <button>Show</button> <output></output></form>
        <iframe title="Findings backlog" sandbox></iframe>
        <script>{Script}</script>
        </body>
        </html>

        """;

    public static void MapBacklogPage(this IEndpointRouteBuilder app) =>
        app.MapGet("/backlog", (HttpContext http) =>
        {
            // The frame takes this policy over, so it names the summary's style too.
            http.Response.Headers.ContentSecurityPolicy =
                $"default-src 'none'; script-src {Hash(Script)}; style-src {Hash(Style)} {VulnCenter.VulnCenterModule.SummaryStyle}; connect-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            return Results.Content(Page, "text/html; charset=utf-8");
        }).AllowAnonymous().ExcludeFromDescription();

    private static string Hash(string text) => $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}'";
}
