using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Npgsql;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Distributed.Tests;

/// <summary>
/// Teams at work while something happens to the application: each files critical findings, moves some of them on and asks for
/// tickets, repeats under the same key whatever was not answered, and remembers what was.
/// </summary>
internal sealed class Workload : IDisposable
{
    private const string Tenant = "acme";
    private static readonly string[] Steps = ["open", "triaged", "fixed"];

    // What was begun is finished when the teams are stopped, and only then.
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private readonly Composition _composition;
    private readonly Client _client;
    private readonly int _tries;
    private readonly ConcurrentDictionary<string, string> _findings = new(StringComparer.Ordinal); // id → status, as acknowledged
    private readonly ConcurrentDictionary<string, string> _tickets = new(StringComparer.Ordinal); // finding → ticket
    private readonly ConcurrentBag<string> _refused = [];
    private readonly CancellationTokenSource _stopping = new();
    private long _acknowledged;
    private long _filed;
    private Task _running = Task.CompletedTask;

    /// <param name="composition">What is worked with.</param>
    /// <param name="tries">How often a request is sent before what it met counts as refused.</param>
    public Workload(Composition composition, int tries)
    {
        _composition = composition;
        _tries = tries;
        _client = composition.ClientOf("vuln-center", Tenant, "operator", "auditor");
    }

    /// <summary>Requests answered with success so far.</summary>
    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    public int Findings => _findings.Count;

    /// <summary>The findings' ids, as events name them.</summary>
    public IReadOnlyCollection<string> Subjects => [.. _findings.Keys];

    /// <summary>What was answered otherwise, or not at all.</summary>
    public IReadOnlyCollection<string> Refused => _refused;

    /// <summary>Deadlines after seconds, so that breaches are counted while replicas come and go.</summary>
    public async Task PrepareAsync(CancellationToken cancellation)
    {
        using var answer = await _client.SendAsync(() => Request(HttpMethod.Put, "/findings/policies/sla", Guid.NewGuid(), new
        {
            @default = "soon",
            policies = new[] { new { name = "soon", rules = new[] { new { days = 2.0 / 86_400 } } } },
        }), 10, cancellation);
        answer.EnsureSuccessStatusCode();
    }

    public void Start(int teams) => _running = Task.WhenAll(Enumerable.Range(1, teams).Select(team => WorkAsync(team, _stopping.Token)));

    /// <summary>Lets every team finish what it has begun.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _running;
    }

    /// <returns>The finding's id; empty when it was refused.</returns>
    public async Task<string> FileAsync(string service, string severity)
    {
        var number = Interlocked.Increment(ref _filed);
        var import = await SendAsync(HttpMethod.Post, $"/findings?service={service}&wait=30", new
        {
            schemaVersion = "1",
            source = "red-team",
            findings = new[] { new { rule = $"T-{number}", title = $"Order ids can be guessed, {number}", kind = "config", severity, resource = "orders" } },
        });
        if (import is not { } made)
        {
            return "";
        }

        var finding = made.GetProperty("result").GetProperty("items")[0].GetProperty("finding").GetString() ?? "";
        _findings[finding] = Steps[0];
        return finding;
    }

    public async Task MoveAsync(string finding, string status)
    {
        if (await SendAsync(HttpMethod.Post, $"/findings/{finding}/status", new { status, reason = "at work" }) is not null)
        {
            _findings[finding] = status;
        }
    }

    public async Task TicketAsync(string finding)
    {
        if (await SendAsync(HttpMethod.Post, $"/findings/{finding}/tickets", new { connector = "jira" }) is { } ticket)
        {
            _tickets[finding] = ticket.GetProperty("id").GetString() ?? "";
        }
    }

    /// <summary>Requests a second over the next <paramref name="time"/>.</summary>
    public async Task<double> RateAsync(TimeSpan time, CancellationToken cancellation)
    {
        var before = Acknowledged;
        await Task.Delay(time, cancellation);
        return (Acknowledged - before) / time.TotalSeconds;
    }

    /// <summary>Within a minute somebody is served, also where other tests have the machine.</summary>
    public async Task IsBackAsync()
    {
        var since = Stopwatch.StartNew();
        while (await RateAsync(TimeSpan.FromSeconds(1), Cancellation) == 0)
        {
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(60), "Nothing was served in a minute.");
        }
    }

    /// <summary>Nothing acknowledged is lost, nothing is there twice, no finding has two histories, and the outside knows the same.</summary>
    public async Task VerifyAsync(CancellationToken cancellation)
    {
        Assert.NotEmpty(_findings);
        Assert.True(_refused.IsEmpty, $"{_refused.Count} of {Acknowledged + _refused.Count} were refused:\n{string.Join('\n', _refused.Take(10))}");
        await DrainedAsync(cancellation);

        var gates = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (finding, status) in _findings)
        {
            var detail = await _client.GetAsync($"/findings/{finding}", 5, cancellation);
            Assert.Equal(status, detail.GetProperty("finding").GetProperty("status").GetString());
            if (status != "fixed")
            {
                gates.Add(finding);
            }
        }

        await using var database = NpgsqlDataSource.Create(_composition.ConnectionStringOf("vuln_center"));
        Assert.Equal(_findings.Count, await ScalarAsync(database, "select count(*) from vuln_center.finding"));
        Assert.Equal(0, await ScalarAsync(database, "select count(*) from (select from platform.event group by subject, entity_version, type having count(*) > 1) as doubled"));
        Assert.Equal(0, await ScalarAsync(database, $"select count(*) from (select from platform.event where type = '{VulnCenterEvents.SlaBreached}' group by subject having count(*) > 1) as doubled"));
        Assert.Equal(0, await ScalarAsync(database, """
            select count(*) from (
              select data::json ->> 'from' as came_from, lag(data::json ->> 'to', 1, 'open') over (partition by subject order by entity_version) as was
              from platform.event where type = 'wave16.vuln-center.finding-status-changed.v1') as step
            where came_from is distinct from was and came_from is not null
            """));
        Assert.Equal(0, await ScalarAsync(database, "select count(*) from platform.dead_letter"));

        var console = await OutsideAsync("/safety-console/gates");
        Assert.Equal(gates.Order(StringComparer.Ordinal), console.Select(gate => gate.GetProperty("finding").GetString() ?? "").Order(StringComparer.Ordinal));
        Assert.Equal(_tickets.Count, (await OutsideAsync("/integration-hub/connectors/jira/tickets")).Count);

        var audit = await _client.GetAsync("/audit/vuln-center/verify", 5, cancellation);
        Assert.True(audit.GetProperty("intact").GetBoolean(), audit.ToString());
    }

    /// <summary>Waits until every outbox is empty.</summary>
    public async Task DrainedAsync(CancellationToken cancellation)
    {
        await using var database = NpgsqlDataSource.Create(_composition.ConnectionStringOf("vuln_center"));
        await Patience.WhileAsync(
            async () => await ScalarAsync(database, "select count(*) from platform.delivery") > 0,
            async () => $"{await ScalarAsync(database, "select count(*) from platform.delivery")} deliveries wait.",
            cancellation);
    }

    public void Dispose()
    {
        _client.Dispose();
        _stopping.Dispose();
    }

    private static async Task<long> ScalarAsync(NpgsqlDataSource database, string sql)
    {
        await using var command = database.CreateCommand(sql);
        return (long)(await command.ExecuteScalarAsync(Cancellation) ?? 0L);
    }

    /// <summary>All of a list that a neighbour keeps.</summary>
    private async Task<List<JsonElement>> OutsideAsync(string list)
    {
        List<JsonElement> items = [];
        for (var after = ""; ;)
        {
            var page = await _composition.Outside.GetFromJsonAsync<JsonElement>($"{list}?limit=500{after}", Cancellation);
            items.AddRange(page.GetProperty("items").EnumerateArray());
            if (page.GetProperty("next") is not { ValueKind: not JsonValueKind.Null } next)
            {
                return items;
            }

            after = $"&after={next}";
        }
    }

    private async Task WorkAsync(int team, CancellationToken stopping)
    {
        for (var number = 1; !stopping.IsCancellationRequested; number++)
        {
            if (await FileAsync($"team-{team}", "critical") is not { Length: > 0 } finding)
            {
                continue;
            }

            foreach (var step in Steps.Skip(1).Take(number % Steps.Length))
            {
                await MoveAsync(finding, step);
            }

            if (number % 4 == 0)
            {
                await TicketAsync(finding);
            }
        }
    }

    /// <returns>Null when it was refused.</returns>
    private async Task<JsonElement?> SendAsync(HttpMethod method, string path, object body)
    {
        var key = Guid.NewGuid();
        try
        {
            while (true)
            {
                using var answer = await _client.SendAsync(() => Request(method, path, key, body), _tries, CancellationToken.None);
                if (answer.StatusCode == HttpStatusCode.Conflict && (await answer.Content.ReadAsStringAsync(Cancellation)).Contains("idempotency", StringComparison.Ordinal))
                {
                    await Task.Delay(50, Cancellation); // The first try is still being worked on.
                    continue;
                }

                if (!answer.IsSuccessStatusCode)
                {
                    _refused.Add($"{method} {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(Cancellation)}");
                    return null;
                }

                Interlocked.Increment(ref _acknowledged);
                var said = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
                if (answer.StatusCode == HttpStatusCode.Accepted && said.TryGetProperty("progress", out _))
                {
                    return await EndOfAsync($"/findings/imports/{said.GetProperty("id").GetString()}");
                }

                return said;
            }
        }
        catch (Exception lost) when (lost is HttpRequestException or TaskCanceledException)
        {
            _refused.Add($"{method} {path}: {lost.Message}");
            return null;
        }
    }

    private async Task<JsonElement?> EndOfAsync(string import)
    {
        while (true)
        {
            var said = await _client.GetAsync(import, _tries, Cancellation);
            switch (said.GetProperty("state").GetString())
            {
                case "succeeded":
                    return said;
                case "failed" or "cancelled":
                    _refused.Add($"{import}: {said}");
                    return null;
                default:
                    await Task.Delay(100, Cancellation);
                    break;
            }
        }
    }

    private static HttpRequestMessage Request(HttpMethod method, string path, Guid key, object body)
    {
        var request = new HttpRequestMessage(method, path) { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key.ToString());
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        return request;
    }
}
