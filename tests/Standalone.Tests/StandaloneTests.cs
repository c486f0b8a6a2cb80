using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Neighbours;

namespace Wave16.Standalone.Tests;

public sealed class StandaloneTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("wave16-standalone-").FullName;
    private readonly int _port = StandaloneProcess.FreePort();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        if (!OperatingSystem.IsWindows())
        {
            // The database's unprivileged account must be able to enter.
            File.SetUnixFileMode(_directory, (UnixFileMode)0b111_101_101);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task The_backlog_page_gets_a_token_of_its_own_and_allows_only_what_it_brings_and_the_summary_s_style()
    {
        await using var standalone = await StandaloneProcess.StartAsync(_directory, _port);
        await standalone.WhenUpAsync(Cancellation);
        using var shell = await standalone.Client.GetAsync(new Uri("/backlog", UriKind.Relative), Cancellation);
        Assert.Equal(HttpStatusCode.OK, shell.StatusCode);
        var page = await shell.Content.ReadAsStringAsync(Cancellation);
        var policy = Assert.Single(shell.Headers.GetValues("Content-Security-Policy"));
        Assert.Contains(Hash("<script>", "</script>"), policy, StringComparison.Ordinal);
        Assert.Contains(Hash("<style>", "</style>"), policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.Contains("<iframe title=\"Findings backlog\" sandbox>", page, StringComparison.Ordinal);

        using var token = await standalone.Client.PostAsync(new Uri("/dev/token", UriKind.Relative), content: null, Cancellation);
        using var ask = new HttpRequestMessage(HttpMethod.Get, "/findings/summary?format=html");
        ask.Headers.Authorization = new AuthenticationHeaderValue("Bearer", (await token.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("access_token").GetString() ?? "");
        using var summary = await standalone.Client.SendAsync(ask, Cancellation);
        page = await summary.Content.ReadAsStringAsync(Cancellation);
        Assert.Contains(Hash("<style>", "</style>"), policy, StringComparison.Ordinal);

        string Hash(string from, string to) => Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(
            page[(page.IndexOf(from, StringComparison.Ordinal) + from.Length)..page.IndexOf(to, StringComparison.Ordinal)])));
    }

    [Fact]
    public async Task It_says_what_runs_where_and_stops_cleanly_on_an_interrupt()
    {
        await using var standalone = await StandaloneProcess.StartAsync(_directory, _port);
        await standalone.WhenUpAsync(Cancellation);
        var health = await standalone.Client.GetFromJsonAsync<JsonElement>("/health", Cancellation);
        var page = await standalone.Client.GetStringAsync(new Uri("/", UriKind.Relative), Cancellation);

        var exit = await standalone.InterruptAsync(Cancellation);

        Assert.Equal("healthy", health.GetProperty("status").GetString());
        Assert.Contains("vuln-center", page, StringComparison.Ordinal);
        Assert.Equal(0, exit);
        foreach (var expected in (string[])["API reference", "/scalar", "private cluster", "examples/first-report.sh"])
        {
            Assert.Contains(expected, standalone.Output, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(Path.Combine(_directory, ".wave16", "postgres", "data", "postmaster.pid")), "Postgres was left running.");
    }

    [Fact]
    public async Task A_second_start_on_the_same_port_says_so_and_leaves_the_first_alone()
    {
        await using var first = await StandaloneProcess.StartAsync(_directory, _port);
        await first.WhenUpAsync(Cancellation);
        await using var second = await StandaloneProcess.StartAsync(_directory, _port);

        Assert.Equal(1, await second.ExitAsync(Cancellation));
        Assert.Contains($"Port {_port} is in use", second.Output, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await first.Client.GetAsync(new Uri("/health", UriKind.Relative), Cancellation)).StatusCode);
    }

    [Theory]
    [InlineData("--ConnectionStrings:postgres=Host=127.0.0.1;Port=1;Username=nobody", "PostgreSQL cannot be used: Failed to connect to 127.0.0.1:1")]
    [InlineData("--ConnectionStrings:postgres=Hots=127.0.0.1", "The connection string given for PostgreSQL is malformed")]
    [InlineData("--urls=localhost", "--urls is not a list of addresses such as http://localhost:5016")]
    [InlineData("--urls=http://192.0.2.1:5016", "Cannot listen on http://192.0.2.1:5016")]
    [InlineData("--Limits:TenantBurst=0", "TenantBurst must be between 1 and")]
    public async Task What_it_cannot_start_with_is_said_in_one_sentence_and_nothing_is_left_running(string setting, string expected)
    {
        await using var standalone = await StandaloneProcess.StartAsync(_directory, _port, setting);

        Assert.Equal(1, await standalone.ExitAsync(Cancellation));
        Assert.Contains(expected, standalone.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", standalone.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_directory, ".wave16", "postgres", "data", "postmaster.pid")), "Postgres was left running.");
    }

    [Fact]
    public async Task Told_to_listen_on_every_interface_it_does_and_its_neighbours_are_reached()
    {
        await using var standalone = await StandaloneProcess.StartAsync(_directory, _port, $"--urls=http://0.0.0.0:{_port}");
        await standalone.WhenUpAsync(Cancellation);
        await standalone.SignInAsync("acme", Cancellation);
        using var other = new HttpClient { BaseAddress = new Uri($"http://127.0.0.2:{_port}") };

        Assert.Equal(HttpStatusCode.OK, (await other.GetAsync(new Uri("/alive", UriKind.Relative), Cancellation)).StatusCode);
        Assert.Equal(1, await ImportCriticalsAsync(standalone.Client, 1));
        Assert.Single(await GatesAsync(standalone.Client, 1));
    }

    [Fact]
    public async Task Told_to_migrate_or_to_begin_an_epoch_it_does_that_and_ends()
    {
        await using var migrate = await StandaloneProcess.StartAsync(_directory, _port, "--migrate");
        Assert.Equal(0, await migrate.ExitAsync(Cancellation));
        await using var epoch = await StandaloneProcess.StartAsync(_directory, _port, "--new-epoch", "--Logging:LogLevel:Default=Error");
        Assert.Equal(0, await epoch.ExitAsync(Cancellation));

        Assert.Contains("vuln-center: store epoch 2", epoch.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Wave 16 is up", migrate.Output + epoch.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Killed_between_commit_and_publish_it_loses_no_event_and_doubles_no_effect()
    {
        await using var neighbours = await StartNeighboursAsync();
        var console = $"--Neighbours:safety-console:Url={neighbours.Urls.First()}/safety-console/";
        using var outside = new HttpClient { BaseAddress = new Uri(neighbours.Urls.First()) };
        using (var down = await outside.PutAsJsonAsync("/neighbours/safety-console/faults", new { down = true }, Cancellation))
        {
            down.EnsureSuccessStatusCode();
        }

        long committed;
        await using (var first = await StandaloneProcess.StartAsync(_directory, _port, console))
        {
            await first.WhenUpAsync(Cancellation);
            await first.SignInAsync("acme", Cancellation);
            committed = await ImportCriticalsAsync(first.Client, 40);
            await first.KillAsync();
        }

        using (var up = await outside.DeleteAsync(new Uri("/neighbours/safety-console/faults", UriKind.Relative), Cancellation))
        {
            up.EnsureSuccessStatusCode();
        }

        await using var second = await StandaloneProcess.StartAsync(_directory, _port, console);
        await second.WhenUpAsync(Cancellation);
        await second.SignInAsync("acme", Cancellation);
        var raised = await GatesAsync(outside, committed);
        var again = await ImportCriticalsAsync(second.Client, 40);

        Assert.Equal(40, committed);
        Assert.Equal(committed, raised.Count);
        Assert.Equal(0, again);
        var findings = await second.Client.GetFromJsonAsync<JsonElement>("/findings?severity=critical&limit=500", Cancellation);
        Assert.Equal(raised.Order(StringComparer.Ordinal), findings.GetProperty("items").EnumerateArray().Select(finding => finding.GetProperty("id").GetString()).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Killed_at_any_moment_of_parallel_imports_it_ends_in_the_state_of_one_import()
    {
        long findings = 0;
        for (var round = 0; round < 3; round++)
        {
            await using var standalone = await StandaloneProcess.StartAsync(_directory, _port);
            await standalone.WhenUpAsync(Cancellation);
            await standalone.SignInAsync("acme", Cancellation);
            var imports = Enumerable.Range(0, 4).Select(_ => TryImportAsync(standalone.Client)).ToList();
            if (round < 2)
            {
                await Task.WhenAny(imports);
                await standalone.KillAsync();
                await Task.WhenAll(imports);
                continue;
            }

            await Task.WhenAll(imports);
            var page = await standalone.Client.GetFromJsonAsync<JsonElement>("/findings?limit=500&facets=true", Cancellation);
            findings = page.GetProperty("facets").GetProperty("severity").GetProperty("high").GetInt64();
        }

        Assert.Equal(400, findings);

        static async Task<bool> TryImportAsync(HttpClient client)
        {
            try
            {
                using var answer = await client.PostAsync(new Uri("/findings/imports?format=generic&service=shop-api", UriKind.Relative), Report(400, "high"), Cancellation);
                return answer.IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }
    }

    [Fact]
    public async Task Two_sources_with_two_imports_each_killed_at_random_and_repeated_end_as_one_after_the_other()
    {
        var random = new Random(20261127);
        string[] sources = ["scanner-a", "scanner-b"];
        for (var round = 0; round < 5; round++)
        {
            await using var standalone = await StandaloneProcess.StartAsync(_directory, _port);
            await standalone.WhenUpAsync(Cancellation);
            await standalone.SignInAsync("parallel", Cancellation);
            if (round == 0)
            {
                foreach (var source in sources)
                {
                    await CompleteAsync(standalone.Client, source, Scanned(0, 1_500));
                }
            }

            var imports = sources.SelectMany(source => Enumerable.Range(0, 2).Select(_ => TryAsync(standalone.Client, source, Scanned(100, 1_500)))).ToList();
            if (round < 4)
            {
                await Task.WhenAny([.. imports, Task.Delay(random.Next(20, 900), Cancellation)]);
                await standalone.KillAsync();
                await Task.WhenAll(imports);
                continue;
            }

            Assert.All(await Task.WhenAll(imports), Assert.True);
            var parallel = await StateAsync(standalone.Client);
            await standalone.SignInAsync("sequential", Cancellation);
            foreach (var report in (string[])[Scanned(0, 1_500), Scanned(100, 1_500)])
            {
                foreach (var source in sources)
                {
                    await CompleteAsync(standalone.Client, source, report);
                }
            }

            Assert.Equal(3_000, parallel.Count);
            Assert.Equal(200, parallel.Count(finding => finding.Contains(" fixed ", StringComparison.Ordinal)));
            Assert.Equal(await StateAsync(standalone.Client), parallel);
        }

        static async Task<bool> TryAsync(HttpClient client, string source, string report)
        {
            try
            {
                await CompleteAsync(client, source, report);
                return true;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }
    }

    /// <summary>A report of a component analysis; every tenth finding is rated otherwise once the first ones are gone.</summary>
    private static string Scanned(int from, int to) => JsonSerializer.Serialize(new
    {
        schemaVersion = "1",
        findings = Enumerable.Range(from, to - from).Select(i => new
        {
            kind = "sca",
            rule = $"CVE-2026-{10_000 + i}",
            title = $"Finding {i}",
            severity = i % 10 == 0 && from > 0 ? "critical" : "high",
            identifiers = (string[])[$"CVE-2026-{10_000 + i}"],
            component = new { purl = $"pkg:npm/lib-{i % 50}@1.{i}.0" },
            image = "registry.example/shop",
        }),
    });

    private static async Task CompleteAsync(HttpClient client, string source, string report)
    {
        using var content = new StringContent(report, Encoding.UTF8, "application/json");
        using var answer = await client.PostAsync(new Uri($"/findings/imports?format=generic&service=shop-api&source={source}&scope=complete&wait=120", UriKind.Relative), content, Cancellation);
        answer.EnsureSuccessStatusCode();
        Assert.Equal("succeeded", (await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("state").GetString());
    }

    /// <summary>Every finding as it stands, its version included.</summary>
    private static async Task<List<string>> StateAsync(HttpClient client)
    {
        List<string> state = [];
        for (string? cursor = null; ;)
        {
            var page = await client.GetFromJsonAsync<JsonElement>($"/findings?limit=500{(cursor is null ? "" : $"&cursor={cursor}")}", Cancellation);
            state.AddRange(page.GetProperty("items").EnumerateArray().Select(finding => string.Join(' ', ((string[])["source", "rule", "status", "severity", "gate", "regression", "version"])
                .Select(name => finding.GetProperty(name).ToString()))));
            if (!page.TryGetProperty("next", out var next) || next.ValueKind != JsonValueKind.String)
            {
                return [.. state.Order(StringComparer.Ordinal)];
            }

            cursor = next.GetString();
        }
    }

    private static async Task<WebApplication> StartNeighboursAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddNeighbours();
        var app = builder.Build();
        app.MapNeighbours();
        await app.StartAsync(Cancellation);
        return app;
    }

    private static StringContent Report(int count, string severity) => new(
        JsonSerializer.Serialize(new
        {
            schemaVersion = "1",
            source = "audit",
            findings = Enumerable.Range(0, count).Select(i => new { rule = $"A-{i}", title = $"Finding {i}", kind = "config", severity, resource = $"r{i}" }),
        }),
        Encoding.UTF8,
        new MediaTypeHeaderValue("application/json"));

    /// <returns>How many findings it made.</returns>
    private static async Task<long> ImportCriticalsAsync(HttpClient client, int count)
    {
        using var answer = await client.PostAsync(new Uri("/findings/imports?format=generic&service=shop-api", UriKind.Relative), Report(count, "critical"), Cancellation);
        answer.EnsureSuccessStatusCode();
        var import = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        return import.GetProperty("result").GetProperty("new").GetInt64();
    }

    /// <summary>Waits until that many gates were put up, and returns the findings of every PUT there was.</summary>
    private static async Task<IReadOnlyList<string>> GatesAsync(HttpClient outside, long count)
    {
        for (long after = 0; ;)
        {
            var received = await outside.GetFromJsonAsync<JsonElement>("/neighbours/safety-console/received?limit=1000", Cancellation);
            var puts = received.GetProperty("items").EnumerateArray()
                .Where(call => call.GetProperty("method").GetString() == "PUT" && call.GetProperty("status").ValueKind == JsonValueKind.Number && call.GetProperty("status").GetInt32() < 300)
                .Select(call => WebUtility.UrlDecode(call.GetProperty("path").GetString() ?? "").Split(':')[^1]).ToList();
            if (puts.Count >= count)
            {
                return puts;
            }

            after = received.GetProperty("items").EnumerateArray().Select(call => call.GetProperty("sequence").GetInt64()).DefaultIfEmpty(after).Max();
            using var more = await outside.GetAsync(new Uri($"/neighbours/safety-console/received?after={after}&waitMs=5000", UriKind.Relative), Cancellation);
        }
    }
}
