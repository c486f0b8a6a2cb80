using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class FindingListTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly (string Query, Func<SeededFinding, DateTimeOffset, bool> Matches)[] Filters =
    [
        ("service=service-1", (f, _) => f.Service == "service-1"),
        ("source=source-2", (f, _) => f.Source == "source-2"),
        ("severity=critical,low", (f, _) => f.Severity is Severity.Critical or Severity.Low),
        ("severity=high", (f, _) => f.Severity is Severity.High),
        ("status=open,triaged", (f, _) => f.Status is FindingStatus.Open or FindingStatus.Triaged),
        ("status=verified", (f, _) => f.Status is FindingStatus.Verified),
        ("kind=secret", (f, _) => f.Kind is FindingKind.Secret),
        ("kind=sca,sast", (f, _) => f.Kind is FindingKind.Sca or FindingKind.Sast),
        ("component=package-3", (f, _) => f.Component == "package-3"),
        ("component=pkg:npm/package-2", (f, _) => f.ComponentKey == "pkg:npm/package-2"),
        ("cve=cve-2024-1004", (f, _) => f.Identifiers[0] == "CVE-2024-1004"),
        ("env=production", (f, _) => f.Environments.Length > 0),
        ("kev=true", (f, _) => f.Kev),
        ("kev=false", (f, _) => !f.Kev),
        ("epss>0.5", (f, _) => f.Epss > 0.5f),
        ("epss>=0.5", (f, _) => f.Epss >= 0.5f),
        ("minEpss=0.7", (f, _) => f.Epss >= 0.7f),
        ("ssvc=act,attend", (f, _) => f.Ssvc is SsvcDecision.Act or SsvcDecision.Attend),
        ("ssvc=track", (f, _) => f.Ssvc is SsvcDecision.Track),
        ("suppressed=true", (f, _) => f.Suppression is not null),
        ("suppressed=false", (f, _) => f.Suppression is null),
        ("suppression=risk-accepted", (f, _) => f.Suppression is SuppressionKind.RiskAccepted),
        ("sla=breached", (f, _) => f.Sla is SlaState.Breached),
        ("sla=warned,missed", (f, _) => f.Sla is SlaState.Warned or SlaState.Missed),
        ("sla=none", (f, _) => f.Sla is SlaState.None),
        ("sla=paused", (f, _) => f.Sla is SlaState.Paused),
        ("sla=running,met", (f, _) => f.Sla is SlaState.Running or SlaState.Met),
        ("assignee=ada", (f, _) => f.Assignee == "ada"),
        ("age>30", (f, now) => f.FirstSeen <= now.AddDays(-30)),
        ("minAge=70d", (f, now) => f.FirstSeen <= now.AddDays(-70)),
        ("q=overflow", (f, _) => f.Title.Contains("overflow", StringComparison.Ordinal)),
        ("q=parser inj", (f, _) => f.Title == "injection in parser"),
    ];

    private static readonly string[] Sorts = ["severity", "age", "newest", "epss"];

    /// <summary>As it is; and with efforts so small that walking and gathering give up, and what is left is a walk to the end.</summary>
    [Theory]
    [InlineData(5_000, 20_000, 5_000)]
    [InlineData(5_000, 20_000, 20)]
    [InlineData(-1, 20_000, 5_000)]
    [InlineData(-1, 20_000, 3)]
    [InlineData(-1, 2, 3)]
    [InlineData(5_000, 2, 5_000)]
    public async Task A_list_holds_what_matches_in_its_order_page_by_page_whichever_way_it_was_found(int few, int gather, int walk)
    {
        var tenant = $"lists-{few}-{gather}-{walk}";
        var random = new Random(20_260 + gather + walk);
        var now = DateTimeOffset.UtcNow;
        now = now.AddTicks(-(now.Ticks % TimeSpan.TicksPerSecond));
        List<SeededFinding> findings = [.. Enumerable.Range(0, 400).Select(_ => SeededFinding.Draw(random, now))];
        await SeededFinding.InsertAsync(host.Database, tenant, findings);
        await SeededFinding.InsertAsync(host.Database, tenant + "-other", Enumerable.Range(0, 100).Select(_ => SeededFinding.Draw(random, now)));
        await using var module = await host.StartModuleAsync(
            services => services.AddSingleton(new PageEffort
            {
                FewMatches = few,
                FewToSkim = few,
                GatherAtMost = gather,
                SortAtMost = gather,
                WalkAtMost = walk,
                SkimAtMost = walk,
                Sample = Math.Min(walk, 10),
                ShortPage = 20,
                ScoresAtMost = walk,
            }));
        using var client = await module.ClientAsync(tenant, TestContext.Current.CancellationToken, "operator");

        for (var i = 0; i < 160; i++)
        {
            // Each alone with each order, then any two and three.
            var chosen = i < Filters.Length ? [Filters[i]] : random.GetItems(Filters, 2 + (i % 2)).DistinctBy(filter => filter.Query.Split('=', '>')[0]).ToArray();
            var sort = i < Filters.Length ? Sorts[i % Sorts.Length] : Sorts[random.Next(Sorts.Length)];
            var query = $"?sort={sort}&{string.Join('&', chosen.Select(filter => filter.Query))}";
            var expected = Ordered(findings.Where(f => chosen.All(filter => filter.Matches(f, now))), sort).Select(f => f.Id).ToList();

            Assert.True(expected.SequenceEqual(await AllAsync(client, query, 1 + random.Next(40))), $"{query}: {expected.Count}");
        }
    }

    [Fact]
    public async Task An_advisory_is_found_by_its_other_names_of_the_same_tenant()
    {
        var named = new SeededFinding { Identifiers = ["GHSA-JFH8-C2JP-5V3Q"] };
        await SeededFinding.InsertAsync(host.Database, "aliases", [named, new SeededFinding { Identifiers = ["CVE-2000-1"] }]);
        await SeededFinding.InsertAsync(host.Database, "aliases-not", [named with { Id = Guid.CreateVersion7() }]);
        await host.ScalarAsync<long>("""
            with a as (insert into vuln_center.alias_cluster values ('aliases', 'CVE-2021-44228', 'CVE-2021-44228'), ('aliases', 'GHSA-JFH8-C2JP-5V3Q', 'CVE-2021-44228') returning 1)
            select count(*) from a
            """);
        using var client = await host.OperatorAsync("aliases");
        using var other = await host.OperatorAsync("aliases-not");

        Assert.Equal(named.Id, Assert.Single((await client.FindingsAsync("?cve=cve-2021-44228")).Items).Id);
        Assert.Empty((await other.FindingsAsync("?cve=cve-2021-44228")).Items);
        Assert.Equal(1, (await client.FindingsAsync("?cve=cve-2021-44228&facets=true")).Facets?["severity"]["medium"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("service=service-1&kev=true")]
    [InlineData("suppressed=false&sla=breached,missed")]
    [InlineData("status=open&kind=sca,dast")]
    [InlineData("q=overflow")]
    [InlineData("epss>0.4&age>30")]
    public async Task Facets_count_the_matches(string query)
    {
        const string tenant = "facets";
        using var client = await host.OperatorAsync(tenant);
        if ((await client.FindingsAsync("?limit=1")).Items.Count == 0)
        {
            var random = new Random(7);
            await SeededFinding.InsertAsync(host.Database, tenant, Enumerable.Range(0, 300).Select(_ => SeededFinding.Draw(random, DateTimeOffset.UtcNow)));
        }

        var page = await client.FindingsAsync($"?limit=500&facets=true&{query}");
        Assert.NotEmpty(page.Items);
        Assert.Equal(Sorted(page.Items.GroupBy(f => FindingFilter.KebabCase(f.Severity))), page.Facets?["severity"].OrderBy(count => count.Key));
        Assert.Equal(Sorted(page.Items.GroupBy(f => FindingFilter.KebabCase(f.Status))), page.Facets?["status"].OrderBy(count => count.Key));
        Assert.Equal(Sorted(page.Items.GroupBy(f => FindingFilter.KebabCase(f.Kind))), page.Facets?["kind"].OrderBy(count => count.Key));
        Assert.Equal(Sorted(page.Items.GroupBy(f => f.Service)), page.Facets?["service"].OrderBy(count => count.Key));
        Assert.Equal(Sorted(page.Items.GroupBy(f => f.Source)), page.Facets?["source"].OrderBy(count => count.Key));
        Assert.Null(page.FacetsOf);

        static IEnumerable<KeyValuePair<string, long>> Sorted(IEnumerable<IGrouping<string, Finding>> groups) =>
            groups.Select(group => KeyValuePair.Create(group.Key, (long)group.Count())).OrderBy(count => count.Key);
    }

    [Fact]
    public async Task Deadlines_that_no_status_of_the_filter_has_match_nothing()
    {
        await SeededFinding.InsertAsync(host.Database, "disjoint", [new SeededFinding { Sla = SlaState.Running }]);
        using var client = await host.OperatorAsync("disjoint");
        var page = await client.FindingsAsync("?status=open&sla=met&facets=true");
        Assert.Empty(page.Items);
        Assert.Empty(page.Facets ?? throw new InvalidOperationException("No facets."));
    }

    [Theory]
    [InlineData("kev=yes", "?kev", "must be true or false")]
    [InlineData("suppressed=1", "?suppressed", "must be true or false")]
    [InlineData("epss>1.5", "?epss>", "must be a probability from 0 to 1, as in 0.5")]
    [InlineData("epss>=-0.1", "?epss>", "must be a probability from 0 to 1, as in 0.5")]
    [InlineData("minEpss=NaN", "?minEpss", "must be a probability from 0 to 1, as in 0.5")]
    [InlineData("epss=0.5", "?epss", "is not a parameter of this list")]
    [InlineData("sla=late", "?sla", "must be one or more of none, running, warned, breached, paused, met, missed")]
    [InlineData("suppression=wontfix", "?suppression", "must be one or more of false-positive, risk-accepted")]
    [InlineData("ssvc=", "?ssvc", "must be one or more of track, track-star, attend, act")]
    [InlineData("sort=epss,age", "?sort", "must be severity, age, newest or epss")]
    [InlineData("kev=true&kev=false", "?kev", "must be given once")]
    public async Task A_filter_that_cannot_be_read_is_a_400_that_names_it_and_says_why(string query, string pointer, string reason)
    {
        using var client = await host.OperatorAsync("refused");
        using var answer = await client.GetAsync(new Uri($"/findings?{query}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var errors = (await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken)).GetProperty("errors");
        Assert.Contains((pointer, reason), errors.EnumerateArray().Select(error => (error.GetProperty("pointer").GetString(), error.GetProperty("reason").GetString())));
    }

    [Theory]
    [InlineData("/findings?facets=perhaps", "?facets")]
    [InlineData("/findings/scans?sevice=shop", "?sevice")]
    [InlineData("/findings/scans?service=a&service=b", "?service")]
    [InlineData("/findings/groups?sevice=shop", "?sevice")]
    [InlineData("/findings/decisions?finding=x", "?finding")]
    [InlineData("/findings/decisions?outcme=new", "?outcme")]
    public async Task A_parameter_of_any_list_that_cannot_be_is_named_as_it_was_sent(string address, string pointer)
    {
        using var client = await host.OperatorAsync("refused");
        using var answer = await client.GetAsync(new Uri(address, UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var errors = (await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken)).GetProperty("errors");
        Assert.Equal(pointer, Assert.Single(errors.EnumerateArray()).GetProperty("pointer").GetString());
    }

    private static IEnumerable<SeededFinding> Ordered(IEnumerable<SeededFinding> findings, string sort) => sort switch
    {
        "severity" => findings.OrderByDescending(f => f.Severity).ThenBy(f => f.FirstSeen).ThenBy(f => f.Id.ToString(), StringComparer.Ordinal),
        "age" => findings.OrderBy(f => f.FirstSeen).ThenBy(f => f.Id.ToString(), StringComparer.Ordinal),
        "newest" => findings.OrderByDescending(f => f.FirstSeen).ThenByDescending(f => f.Id.ToString(), StringComparer.Ordinal),
        _ => findings.OrderByDescending(f => f.Epss ?? -1).ThenBy(f => f.FirstSeen).ThenBy(f => f.Id.ToString(), StringComparer.Ordinal),
    };

    private static async Task<List<Guid>> AllAsync(HttpClient client, string query, int limit)
    {
        List<Guid> ids = [];
        string? next = null;
        do
        {
            var page = await client.FindingsAsync($"{query}&limit={limit}{(next is null ? "" : $"&cursor={Uri.EscapeDataString(next)}")}");
            ids.AddRange(page.Items.Select(finding => finding.Id));
            next = page.Next;
        }
        while (next is not null);

        return ids;
    }
}
