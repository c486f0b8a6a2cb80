using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Neighbours;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Events;
using Wave16.Platform.Tests.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Audit;

/// <summary>Sealed leaves on their way through the outbox to the audit trail.</summary>
[Collection(AuditCluster.Name)]
public sealed class ForwardingTests(AuditCluster cluster)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_sealed_while_the_audit_trail_is_down_arrives_when_it_is_up_whole_and_in_order()
    {
        await using var trail = await Trail.StartAsync();
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using var sample = await StartAsync(connectionString, trail);
        await SaveAsync(sample, "before", rounds: 2);
        await DeliveredAsync(connectionString);

        await trail.FaultsAsync("""{"down":true}""");
        await SaveAsync(sample, "down", rounds: 5);
        while (!sample.Health.Reports.Any(report => report.Name == "audit-trail" && report.State is DependencyState.Degraded))
            await Task.Yield();
        await trail.FaultsAsync("""{"failRate":0.5,"status":503,"seed":7}""");
        await SaveAsync(sample, "failing", rounds: 5);
        await trail.FaultsAsync("{}");
        await DeliveredAsync(connectionString);

        using var auditor = AuditWeb.Auditor();
        foreach (var tenant in new[] { "acme", "other" })
        {
            var leaves = new List<(long Seq, string Canonical)>();
            foreach (var kept in await trail.EventsAsync(tenant))
            {
                Assert.Equal(("wave16.sample.audit-sealed.v1", "sample", "sample", tenant), (
                    Text(kept, "type"), Text(kept, "source"), Text(kept, "subject"), Text(kept, "tenantid")));
                var head = auditor.Open(Text(kept.GetProperty("data"), "checkpoint"));
                Assert.NotNull(head);
                foreach (var leaf in kept.GetProperty("data").GetProperty("leaves").EnumerateArray())
                {
                    Assert.True(leaf.GetProperty("seq").GetInt64() < head.Size);
                    Assert.Equal(Text(leaf, "hash"), Convert.ToHexStringLower(OfflineAuditor.LeafHash(Text(leaf, "canonical"))));
                    leaves.Add((leaf.GetProperty("seq").GetInt64(), Text(leaf, "canonical")));
                }
            }

            Assert.Equal(await LogAsync(sample, tenant), leaves);
        }

        await using var dead = sample.Database.DataSource.CreateCommand("select count(*) from platform.dead_letter");
        Assert.Equal(0L, await dead.ExecuteScalarAsync(Cancellation));
    }

    [Fact]
    public async Task Events_go_in_batched_mode_each_within_its_64_KB_however_much_is_sealed_at_once()
    {
        await using var trail = await Trail.StartAsync();
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using (var writer = await AuditSample.OpenAsync(connectionString))
            await writer.InsertLeavesAsync(1, 3000);
        await using var sample = await StartAsync(connectionString, trail);
        await SealedAsync(sample);
        await DeliveredAsync(connectionString);

        var calls = await trail.ReceivedAsync();

        Assert.True(calls.Count > 10, $"{calls.Count} calls");
        Assert.All(calls, call =>
        {
            Assert.Equal(("POST", "/events", 202), (Text(call, "method"), Text(call, "path"), call.GetProperty("status").GetInt32()));
            var type = MediaTypeHeaderValue.Parse(call.GetProperty("headers").EnumerateObject().Single(header => header.Name.Equals("content-type", StringComparison.OrdinalIgnoreCase)).Value.GetString() ?? "");
            Assert.Equal(EventFormat.BatchMediaType, type.MediaType);
            Assert.InRange(call.GetProperty("bodyBytes").GetInt64(), 1, 64 * 1024);
        });
        var seqs = (await trail.EventsAsync("acme")).SelectMany(kept => kept.GetProperty("data").GetProperty("leaves").EnumerateArray()).Select(leaf => leaf.GetProperty("seq").GetInt64());
        Assert.Equal(Enumerable.Range(0, 3000).Select(i => (long)i), seqs);
    }

    [Fact]
    public async Task Without_an_audit_trail_nothing_is_put_into_the_outbox_and_health_says_that_it_is_not_configured()
    {
        await using var sample = await SampleHost.StartAsync(await SampleModule.DatabaseAsync(cluster.Postgres), TimeProvider.System, _ => { });
        await SaveAsync(sample, "alone", rounds: 1);
        while (!sample.Health.Reports.Any(report => report.Name == "audit-trail"))
            await Task.Yield();

        Assert.Equal(DependencyState.NotConfigured, sample.Health.Reports.Single(report => report.Name == "audit-trail").State);
        await using var outbox = sample.Database.DataSource.CreateCommand("select (select count(*) from platform.event) + (select count(*) from platform.delivery)");
        Assert.Equal(0L, await outbox.ExecuteScalarAsync(Cancellation));
    }

    // Waits of a hundredth, so that the test need not wait as long as a neighbour is left alone.
    private static Task<SampleHost> StartAsync(string connectionString, Trail trail) => SampleHost.StartAsync(
        connectionString,
        TimeProvider.System,
        module => module.Services.AddSingleton(new LaneSettings { FirstWait = TimeSpan.FromMilliseconds(10) }),
        ("Neighbours:audit-trail:Url", trail.Address));

    /// <summary>Changes of two tenants in turn, each round sealed by itself.</summary>
    private static async Task SaveAsync(SampleHost sample, string name, int rounds)
    {
        var tickets = new TicketStore(sample.Database, sample.Get<SaveTail>());
        for (var round = 0; round < rounds; round++)
        {
            foreach (var tenant in new[] { "acme", "other", "acme" })
            {
                var id = string.Create(CultureInfo.InvariantCulture, $"{name}-{round}-{Guid.NewGuid():N}");
                Assert.IsType<SaveOutcome.Saved>(await tickets.SaveAsync("title", TicketStore.Change(id, 1) with { Tenant = tenant }, Cancellation));
            }

            await SealedAsync(sample);
        }
    }

    private static async Task SealedAsync(SampleHost sample)
    {
        await using var left = sample.Database.DataSource.CreateCommand(
            "select exists (select from platform.audit_leaf l where not exists (select from platform.audit_entry e where e.leaf_id = l.id))");
        do
        {
            await sample.Get<Wave16.Platform.Audit.Sealer>().SealPendingAsync(Cancellation);
        }
        while (await left.ExecuteScalarAsync(Cancellation) is true);
    }

    private static async Task DeliveredAsync(string connectionString)
    {
        await using var outbox = await TableChanges.ListenAsync(connectionString, "platform.delivery", "select where not exists (select from platform.delivery)");
        await outbox.UntilAsync().Soon();
    }

    private static async Task<List<(long Seq, string Canonical)>> LogAsync(SampleHost sample, string tenant)
    {
        var leaves = new List<(long, string)>();
        await using var command = sample.Database.DataSource.CreateCommand($"select e.seq, l.canonical from platform.audit_entry e join platform.audit_leaf l on l.id = e.leaf_id where l.tenant = '{tenant}' order by e.seq");
        await using var reader = await command.ExecuteReaderAsync(Cancellation);
        while (await reader.ReadAsync(Cancellation))
            leaves.Add((reader.GetInt64(0), reader.GetString(1)));
        return leaves;
    }

    private static string Text(JsonElement json, string member) => json.GetProperty(member).GetString() ?? "";

    /// <summary>The stand-in of the audit trail on Kestrel.</summary>
    private sealed class Trail : IAsyncDisposable
    {
        private readonly WebApplication _app;
        private readonly HttpClient _client;

        private Trail(WebApplication app) => (_app, _client) = (app, new HttpClient { BaseAddress = new Uri(app.Urls.Single()) });

        public string Address => _app.Urls.Single() + "/audit-trail/";

        public static async Task<Trail> StartAsync()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            builder.Services.AddNeighbours();
            var app = builder.Build();
            app.MapNeighbours();
            await app.StartAsync(Cancellation);
            return new Trail(app);
        }

        public async Task FaultsAsync(string faults)
        {
            using var body = new StringContent(faults, Encoding.UTF8, "application/json");
            using var answer = await _client.PutAsync(new Uri("/neighbours/audit-trail/faults", UriKind.Relative), body, Cancellation);
            answer.EnsureSuccessStatusCode();
        }

        /// <summary>The tenant's events in the order in which they came.</summary>
        public async Task<List<JsonElement>> EventsAsync(string tenant) =>
            [.. (await PagesAsync("/audit-trail/events", tenant)).Select(item => item.GetProperty("event"))];

        public Task<List<JsonElement>> ReceivedAsync() => PagesAsync("/neighbours/audit-trail/received", tenant: null);

        private async Task<List<JsonElement>> PagesAsync(string path, string? tenant)
        {
            var items = new List<JsonElement>();
            for (var after = 0L; ;)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, $"{path}?after={after}");
                if (tenant is not null)
                    request.Headers.Add("Tenant-Id", tenant);
                using var answer = await _client.SendAsync(request, Cancellation);
                var page = JsonElement.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(Cancellation));
                var read = page.GetProperty("items").EnumerateArray().ToList();
                items.AddRange(read);
                if (read.Count == 0 || !page.TryGetProperty("next", out var next) || next.ValueKind is not JsonValueKind.Number)
                    return items;
                after = next.GetInt64();
            }
        }

        public async ValueTask DisposeAsync()
        {
            _client.Dispose();
            await _app.StopAsync(CancellationToken.None);
            await _app.DisposeAsync();
        }
    }
}
