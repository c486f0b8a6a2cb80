using System.Net;

namespace Wave16.VulnCenter.Tests.Groups;

/// <summary>Random histories of imports, aliases, links and splits against a model that knows no history; a tenant for each.</summary>
public sealed class GroupPropertyTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";
    private static readonly string[] Sources = ["a", "b", "c"];
    private static readonly string[] Packages = ["p", "q"];
    private static readonly string[] Ids = ["CVE-2026-0001", "CVE-2026-0002", "GHSA-CCCC-CCCC-CCC1", "GHSA-CCCC-CCCC-CCC2", "PYSEC-2026-1", "RHSA-2026:1"];

    /// <summary>What must hold of any history: members are of the group's service and of two sources, and nobody is in a group that is not there.</summary>
    private const string Broken = """
        select (select count(*) from vuln_center.group_member m where m.tenant = $1 and not exists (
                 select from vuln_center.finding_group g join vuln_center.finding f on f.tenant = g.tenant and f.id = m.finding and f.service = g.service
                 where g.tenant = m.tenant and g.id = m.grouped))
             + (select count(*) from vuln_center.finding_group g where g.tenant = $1 and (
                 select count(distinct f.source) from vuln_center.group_member m join vuln_center.finding f on f.tenant = m.tenant and f.id = m.finding
                 where m.tenant = g.tenant and m.grouped = g.id) < 2)
        """;

    private const string Stored = """
        select coalesce(string_agg(line, ',' order by line collate "C"), '') from (
          select string_agg(m.finding::text, ' ' order by m.finding) as line from vuln_center.group_member m where m.tenant = $1 group by m.grouped) groups
        """;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 24)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task After_any_history_the_groups_are_those_that_a_computation_from_scratch_makes(int seed)
    {
        var random = new Random(seed);
        var tenant = $"groups-{seed}";
        using var client = await host.OperatorAsync(tenant);
        var model = new GroupModel();
        for (var step = 0; step < 14; step++)
        {
            await StepAsync(client, model, random, seed);
            Assert.Equal(string.Join(',', model.Groups()), await host.ScalarAsync<string>(Stored, tenant));
        }

        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
        await client.FeedAsync("aliases", """{"aliases":[{"a":"OSV-2026-1","b":"OSV-2026-2"}]}""", "&source=other");
        Assert.Equal(string.Join(',', model.Groups()), await host.ScalarAsync<string>(Stored, tenant));
    }

    [Fact]
    public async Task An_unchanged_group_is_not_written_again()
    {
        const string tenant = "unwritten";
        using var client = await host.OperatorAsync(tenant);
        var report = new Vulnerable("CVE-2026-0001", "p", "CVE-2026-0001");
        await client.ReportAsync(Service, "a", report);
        await client.ReportAsync(Service, "b", report);
        const string state = "select string_agg(g::text || g.xmin || m::text || m.xmin, ',' order by m.finding) from vuln_center.finding_group g join vuln_center.group_member m on m.grouped = g.id where g.tenant = $1";
        var before = await host.ScalarAsync<string>(state, tenant);

        await client.ReportAsync(Service, "a", report with { Severity = "low" });
        await client.AliasesAsync("x", replace: false, "GHSA-CCCC-CCCC-CCC1 PYSEC-2026-1");

        Assert.Equal(before, await host.ScalarAsync<string>(state, tenant));
    }

    private static async Task StepAsync(HttpClient client, GroupModel model, Random random, int seed)
    {
        switch (random.Next(8))
        {
            case 0 or 1 or 2:
                var source = Sources[random.Next(Sources.Length)];
                List<Vulnerable> report = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Random(random)).DistinctBy(finding => (finding.Rule, finding.Package, finding.Manifest))];
                var ids = await client.ReportAsync(Service, source, report);
                foreach (var id in ids.Distinct())
                {
                    // Two results can be one finding: it looks like one of them.
                    var finding = (await client.FindingAsync(id)).Finding;
                    model.Report(id, source, new Vulnerable(finding.Rule, finding.Component?.Name ?? "", [.. finding.Identifiers]));
                }

                break;
            case 3 or 4:
                var (a, b) = (Ids[random.Next(Ids.Length)], Ids[random.Next(Ids.Length)]);
                if (a != b)
                {
                    // What a person removed before comes back by force only.
                    await client.FeedAsync("aliases", $$"""{"aliases":[{"a":"{{a}}","b":"{{b}}"}]}""", $"&source=s&force=true");
                    model.Join(a, b);
                }

                break;
            case 5:
                var (x, y) = (Ids[random.Next(Ids.Length)], Ids[random.Next(Ids.Length)]);
                if (model.HasEdge(x, y))
                {
                    await client.RemoveEdgeAsync(x, y);
                    model.Cut(x, y);
                }

                break;
            case 6 when model.Findings.Count > 1:
                Guid[] pair = [.. model.Findings.OrderBy(_ => random.Next()).Take(random.Next(2, 4))];
                if (pair.Select(model.SourceOf).Distinct().Count() > 1)
                {
                    using var linked = await client.LinkAsync($"seed {seed}", pair);
                    if (linked.StatusCode == HttpStatusCode.OK)
                    {
                        model.Link(pair);
                    }
                    else
                    {
                        Assert.Equal(HttpStatusCode.Conflict, linked.StatusCode);
                    }
                }

                break;
            case 7 when (await client.GroupsAsync()) is { Count: > 0 } groups:
                var group = groups[random.Next(groups.Count)];
                Guid[] taken = [.. group.Findings().OrderBy(_ => random.Next()).Take(random.Next(1, 3))];
                using (var split = await client.SplitAsync(group.Id, $"seed {seed}", taken))
                {
                    Assert.Equal(HttpStatusCode.OK, split.StatusCode);
                }

                model.Split([.. group.Findings()], taken);
                break;
        }
    }

    private static Vulnerable Random(Random random)
    {
        string[] ids = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Ids[random.Next(Ids.Length)]).Distinct()];
        return new Vulnerable(ids[0], Packages[random.Next(Packages.Length)], ids)
        {
            Manifest = random.Next(4) == 0 ? "yarn.lock" : "package-lock.json",
            Id = random.Next(3) == 0 ? $"own-{ids[0]}" : null,
        };
    }
}
