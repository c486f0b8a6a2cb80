using System.Diagnostics.Metrics;
using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Groups;

namespace Wave16.VulnCenter.Tests.Feeds;

/// <summary>What joins too many ids joins none of them: VulnCenter:MaxAliasCluster, 100 unless told otherwise.</summary>
public sealed class AliasLimitTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";
    private const string Sizes = "select string_agg(n::text, ' ' order by n) from (select count(*) as n from vuln_center.alias_cluster where tenant = $1 group by cluster having count(*) > 1) sizes";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_feed_that_makes_one_of_thousands_of_ids_joins_nothing_and_says_so()
    {
        const string tenant = "flood";
        using var client = await host.OperatorAsync(tenant);
        await client.AliasesAsync("osv", replace: false, "CVE-2026-0001 GHSA-aaaa-bbbb-cccc");
        var trivy = await client.ReportAsync(Service, "trivy", [.. Enumerable.Range(1, 8).Select(i => new Vulnerable($"CVE-2026-000{i}", "lodash", $"CVE-2026-000{i}"))]);
        var npm = await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc"));
        using var meter = new Unjoined(host.Module.Services);

        var update = await client.AliasesAsync(
            "bad", replace: false, [.. Enumerable.Range(1, 9_999).Select(i => $"X-0000 X-{i:0000}"), "X-0001 CVE-2026-0001", "X-0002 CVE-2026-0002", "OSV-1 CVE-2026-0003"]);

        Assert.Equal((10_002L, 10_001L, 10_001L), (update.Added, update.Unjoined, meter.Count));
        Assert.Equal("2 2", await host.ScalarAsync<string>(Sizes, tenant));
        Assert.Equal([trivy[0], npm[0]], Assert.Single(await client.GroupsAsync()).Members.Select(member => member.Finding).OrderBy(finding => finding != trivy[0]));
        Assert.Null((await client.FindingAsync(trivy[1])).Group);
        var edges = await EdgesAsync(client, "CVE-2026-0001");
        Assert.Equal(["CVE-2026-0001", "GHSA-AAAA-BBBB-CCCC"], edges.Cluster);
        Assert.Equal([("GHSA-AAAA-BBBB-CCCC", true), ("X-0001", false)], edges.Edges.Select(edge => (edge.B, edge.Joined)));
        var leaf = await host.ScalarAsync<string>("select canonical from platform.audit_leaf where tenant = $1 and action = 'feed.replaced' order by entity_version desc limit 1", tenant);
        Assert.Contains("\"unjoined\":10001", leaf, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cluster_takes_ids_until_it_is_full_and_the_edge_that_did_not_fit_joins_when_another_goes()
    {
        const string tenant = "full";
        using var client = await host.OperatorAsync(tenant);
        await client.AliasesAsync("x", replace: false, [.. Enumerable.Range(1, 99).Select(i => $"X-0000 X-{i:0000}")]);
        Assert.Equal("100", await host.ScalarAsync<string>(Sizes, tenant));

        var over = await client.AliasesAsync("y", replace: false, "X-0000 Y-0001");
        var within = await client.AliasesAsync("y", replace: false, "X-0001 X-0002");

        Assert.Equal((1L, 0L), (over.Unjoined, within.Unjoined));
        Assert.Equal("100", await host.ScalarAsync<string>(Sizes, tenant));
        Assert.Equal(["Y-0001"], (await EdgesAsync(client, "Y-0001")).Cluster);

        await client.RemoveEdgeAsync("X-0000", "X-0099");

        Assert.Equal("100", await host.ScalarAsync<string>(Sizes, tenant));
        Assert.Contains("Y-0001", (await EdgesAsync(client, "X-0000")).Cluster);
        Assert.DoesNotContain("X-0099", (await EdgesAsync(client, "X-0000")).Cluster);
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.alias_edge where tenant = $1 and not joined", tenant));
    }

    [Fact]
    public async Task Removing_an_edge_of_a_full_cluster_splits_its_groups_again()
    {
        using var client = await host.OperatorAsync("full-split");
        await client.AliasesAsync("x", replace: false, ["GHSA-aaaa-bbbb-cccc X-0001", "CVE-2026-0001 X-0098", .. Enumerable.Range(1, 97).Select(i => $"X-{i:0000} X-{i + 1:0000}")]);
        var trivy = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc"));
        Assert.Equal(2, (await client.GroupOfAsync(trivy[0]))?.Members.Count);

        await client.RemoveEdgeAsync("X-0050", "X-0051");

        Assert.Null(await client.GroupOfAsync(trivy[0]));
        Assert.Equal("49 51", await host.ScalarAsync<string>(Sizes, "full-split"));
    }

    [Fact]
    public async Task A_report_that_states_too_many_aliases_joins_none_and_its_findings_are_taken()
    {
        const string tenant = "full-report";
        using var client = await host.OperatorAsync(tenant);
        await client.AliasesAsync("x", replace: false, [.. Enumerable.Range(1, 99).Select(i => $"CVE-2026-0001 X-{i:0000}")]);

        var result = await client.ImportAsync("grype", Service, Grype("GHSA-aaaa-bbbb-cccc", "CVE-2026-0001"));

        Assert.Equal(1L, result.New);
        Assert.Equal("100", await host.ScalarAsync<string>(Sizes, tenant));
        Assert.Equal(["GHSA-AAAA-BBBB-CCCC"], (await EdgesAsync(client, "GHSA-aaaa-bbbb-cccc")).Cluster);
    }

    [Fact]
    public async Task What_is_stated_in_one_feed_or_edge_by_edge_and_then_removed_leaves_the_clusters_that_the_rest_makes()
    {
        var random = new Random(16);
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:MaxAliasCluster", "4")]);
        for (var round = 0; round < 6; round++)
        {
            using var lived = await module.ClientAsync($"lived-{round}", Cancellation, "operator");
            using var plain = await module.ClientAsync($"plain-{round}", Cancellation, "operator");
            List<List<string>> statements = [.. Enumerable.Range(0, 5).Select(_ => Enumerable.Range(0, random.Next(1, 6)).Select(_ => Pair(random)).Distinct().ToList())];
            HashSet<string> stated = new(StringComparer.Ordinal);
            foreach (var statement in statements)
            {
                statement.RemoveAll(pair => !stated.Add(pair));
            }

            foreach (var statement in statements.Where(statement => statement.Count > 0))
            {
                await lived.AliasesAsync("x", replace: false, [.. statement]);
            }

            var removed = stated.Order(StringComparer.Ordinal).Where(_ => random.Next(3) == 0).ToHashSet(StringComparer.Ordinal);
            foreach (var pair in removed)
            {
                await lived.RemoveEdgeAsync(pair.Split(' ')[0], pair.Split(' ')[1]);
            }

            foreach (var statement in statements.Select(statement => statement.Where(pair => !removed.Contains(pair)).ToArray()).Where(statement => statement.Length > 0))
            {
                await plain.AliasesAsync("x", replace: false, statement);
            }

            Assert.Equal(await StateAsync($"plain-{round}"), await StateAsync($"lived-{round}"));
        }

        static string Pair(Random random)
        {
            var (a, b) = (random.Next(12), random.Next(11));
            b = b >= a ? b + 1 : b;
            return $"X-{Math.Min(a, b):0000} X-{Math.Max(a, b):0000}";
        }
    }

    private Task<string> StateAsync(string tenant) => host.ScalarAsync<string>("""
        select coalesce((select string_agg(id || '=' || cluster, ' ' order by id) from vuln_center.alias_cluster where tenant = $1), '') || ' / '
            || coalesce((select string_agg(a || '-' || b || ':' || joined, ' ' order by a, b) from vuln_center.alias_edge where tenant = $1), '')
        """, tenant);

    private static async Task<AliasEdges> EdgesAsync(HttpClient client, string id) =>
        await client.GetFromJsonAsync<AliasEdges>($"/findings/feeds/aliases/edges?id={id}", VulnCenterCalls.Json, Cancellation) ?? throw new InvalidOperationException("Empty answer.");

    private static byte[] Grype(string id, string related) => System.Text.Encoding.UTF8.GetBytes($$$"""
        {"matches":[{"vulnerability":{"id":"{{{id}}}","dataSource":"https://github.com/advisories/{{{id}}}","namespace":"github:language:javascript","severity":"High"},
          "relatedVulnerabilities":[{"id":"{{{related}}}","namespace":"nvd:cpe"}],"matchDetails":[],
          "artifact":{"name":"lodash","version":"4.17.0","type":"npm","purl":"pkg:npm/lodash@4.17.0","locations":[{"path":"package-lock.json"}]}}],
         "source":{"type":"directory","target":"."},"distro":{},"descriptor":{"name":"grype","version":"0.74.0"}}
        """);

    private sealed class Unjoined : IDisposable
    {
        private readonly MeterListener _listener = new();
        private long _count;

        public Unjoined(IServiceProvider services)
        {
            var meters = services.GetRequiredService<IMeterFactory>();
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "aliases.unjoined" && instrument.Meter.Scope == meters)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>((_, value, _, _) => Interlocked.Add(ref _count, value));
            _listener.Start();
        }

        public long Count => Volatile.Read(ref _count);

        public void Dispose() => _listener.Dispose();
    }
}
