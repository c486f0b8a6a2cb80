using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Dedup;
using Wave16.VulnCenter.Tests.Groups;

namespace Wave16.VulnCenter.Tests.Feeds;

public sealed class FeedTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private const string KevHeader = "cveID,vendorProject,product,vulnerabilityName,dateAdded,shortDescription,requiredAction,dueDate,knownRansomwareCampaignUse,notes,cwes";

    [Fact]
    public async Task Scores_reach_findings_without_a_new_import_and_without_a_new_version()
    {
        using var client = await host.OperatorAsync("epss");
        var findings = await client.ReportAsync(
            Service, "trivy", new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001"), new Vulnerable("GHSA-aaaa-bbbb-cccc", "b", "GHSA-aaaa-bbbb-cccc", "CVE-2026-0002", "CVE-2026-0003"), new Vulnerable("CVE-2026-0004", "c", "CVE-2026-0004"));

        var update = await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02T00:00:00+0000", ("CVE-2026-0001", 0.5), ("CVE-2026-0002", 0.25), ("CVE-2026-0003", 0.75)));

        Assert.Equal((3L, 3L, 2L), (update.Added, update.Progress.Done, update.Progress.Changed));
        Assert.Equal([0.5, 0.75, null], await EpssAsync(client, findings));
        Assert.Equal(3L, await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = 'epss' and version = 1"));
        var feed = await FeedAsync(client, "epss");
        Assert.Equal(("2026-01-02T00:00:00+0000", 3L, "epss-tester", true, 1L), (feed.AsOf, feed.Entries, feed.By, feed.Settled, feed.Version));

        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-03T00:00:00+0000", ("CVE-2026-0001", 0.5), ("CVE-2026-0003", 0.125)));

        Assert.Equal([0.5, 0.125, null], await EpssAsync(client, findings));
    }

    [Fact]
    public async Task New_findings_get_what_the_feeds_know_with_their_import_aliases_included()
    {
        using var client = await host.OperatorAsync("import-risk");
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5)));
        await client.FeedAsync("kev", GroupCalls.Kev("2026-01-02T00:00:00Z", "CVE-2026-0001"));
        await client.AliasesAsync("osv", replace: false, "GHSA-aaaa-bbbb-cccc CVE-2026-0001");

        var findings = await client.ReportAsync(
            Service, "trivy", new Vulnerable("GHSA-aaaa-bbbb-cccc", "a", "GHSA-aaaa-bbbb-cccc"), new Vulnerable("CVE-2026-0002", "b", "CVE-2026-0002"));

        Assert.Equal([0.5, null], await EpssAsync(client, findings));
        Assert.Equal([true, false], await KevAsync(client, findings));
    }

    [Fact]
    public async Task The_catalog_comes_as_json_or_csv_and_what_is_taken_off_it_is_no_longer_known_to_be_exploited()
    {
        using var client = await host.OperatorAsync("kev");
        var findings = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001"), new Vulnerable("CVE-2026-0002", "b", "CVE-2026-0002"));
        await client.FeedAsync("kev", GroupCalls.Kev("2026-01-02T00:00:00.1234Z", "CVE-2026-0001", "CVE-2020-0001"));
        Assert.Equal([true, false], await KevAsync(client, findings));
        Assert.Equal(["feed kev 1"], (await client.FindingAsync(findings[0])).History.Where(step => step.Change == "finding.settled").Select(step => step.Reason));

        var update = await client.FeedAsync("kev", $"\uFEFF{KevHeader}\r\nCVE-2026-0002,V,P,\"a \"\"name\"\", and\nmore\",2026-01-05,d,r,2026-01-26,Known,,\r\n");

        Assert.Equal((1L, 0L, 2L, 2L), (update.Added, update.Changed, update.Removed, update.Progress.Findings));
        Assert.Equal([false, true], await KevAsync(client, findings));
        Assert.True(await host.ScalarAsync<bool>("select ransomware from vuln_center.kev where tenant = 'kev'"));
    }

    [Fact]
    public async Task Aliases_bring_the_risk_of_the_ids_they_join_and_take_it_away_again()
    {
        using var client = await host.OperatorAsync("alias-risk");
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5)));
        var findings = await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "a", "GHSA-aaaa-bbbb-cccc"));
        Assert.Equal([null], await EpssAsync(client, findings));

        await client.AliasesAsync("osv", replace: true, "GHSA-aaaa-bbbb-cccc CVE-2026-0001");
        Assert.Equal([0.5], await EpssAsync(client, findings));

        var replaced = await client.AliasesAsync("osv", replace: true, "GHSA-aaaa-bbbb-cccc CVE-2026-0009");
        Assert.Equal((1L, 1L, 1L), (replaced.Added, replaced.Removed, replaced.Progress.Changed));
        Assert.Equal([null], await EpssAsync(client, findings));
    }

    [Fact]
    public async Task A_finding_that_opens_again_is_judged_by_the_score_it_has_by_then()
    {
        using var client = await host.OperatorAsync("score-then-open");
        using var policy = new HttpRequestMessage(HttpMethod.Put, "/findings/policies/gate") { Content = JsonContent.Create(GatePolicy.Default with { AtLeast = Severity.Low, Epss = 0.5 }, options: VulnCenterCalls.Json) };
        policy.Headers.TryAddWithoutValidation("If-Match", "*");
        using var put = await client.SendAsync(policy, TestContext.Current.CancellationToken);
        put.EnsureSuccessStatusCode();
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.1)));
        var id = Assert.Single(await client.ReportAsync("shop", "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001")));
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "upgraded" }])
        {
            using var moved = await client.MoveAsync(id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-03", ("CVE-2026-0001", 0.9)));
        using var opened = await client.MoveAsync(id, new { status = "open", reason = "it is back" }, "*");

        var finding = (await client.FindingAsync(id)).Finding;
        Assert.Equal((FindingStatus.Open, 0.9, true), (finding.Status, Math.Round(finding.Risk.Epss ?? 0, 3), finding.Gate));
    }

    [Theory]
    [InlineData("one")]
    [InlineData("array")]
    [InlineData("lines")]
    [InlineData("indented")]
    public async Task Osv_documents_state_their_aliases_and_nothing_else(string form)
    {
        using var client = await host.OperatorAsync($"osv-{form}");
        object[] documents =
        [
            new { schema_version = "1.6.0", id = "GHSA-aaaa-bbbb-cccc", modified = "2026-02-01T10:00:00Z", aliases = new[] { "CVE-2026-0001", "PYSEC-2026-7" }, related = new[] { "CVE-2026-0008" }, upstream = new[] { "CVE-2026-0009" } },
            new { schema_version = "1.6.0", id = "GHSA-dddd-eeee-ffff", modified = "2026-01-01T10:00:00Z", withdrawn = "2026-01-02T00:00:00Z", aliases = new[] { "CVE-2026-0001" } },
            new { schema_version = "1.6.0", id = "DSA-1-1", modified = "2026-01-01T10:00:00Z", aliases = new[] { "CVE-2026-0001", "CVE-2026-0002" } },
            new { schema_version = "1.6.0", id = "OSV-2026-3", modified = "2026-01-01T10:00:00Z" },
        ];
        var body = form switch
        {
            "one" => JsonSerializer.Serialize(documents[0]),
            "indented" => JsonSerializer.Serialize(documents[0], Indented),
            "array" => JsonSerializer.Serialize(documents),
            _ => string.Join("\r\n", documents.Select(document => JsonSerializer.Serialize(document))) + "\n\n",
        };

        var update = await client.FeedAsync("aliases", body);

        Assert.Equal((2L, form is "one" or "indented" ? 0L : 2L), (update.Added, update.Ignored));
        var edges = await client.GetFromJsonAsync<AliasEdges>("/findings/feeds/aliases/edges?id=cve-2026-0001", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        Assert.Equal(["CVE-2026-0001", "GHSA-AAAA-BBBB-CCCC", "PYSEC-2026-7"], edges?.Cluster ?? []);
        Assert.Equal([("CVE-2026-0001", "GHSA-AAAA-BBBB-CCCC", "osv"), ("GHSA-AAAA-BBBB-CCCC", "PYSEC-2026-7", "osv")], (edges?.Edges ?? []).Select(edge => (edge.A, edge.B, edge.Source)));
        Assert.Equal(new DateTimeOffset(2026, 2, 1, 10, 0, 0, TimeSpan.Zero), edges?.Edges[0].Since);
    }

    [Theory]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,0.1,0.2\nCVE-2026-0002,1.5,0.2\n", "#line=3")]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,NaN,0.2\n", "#line=2")]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,0.1,0.2\n\nGHSA-1,0.1,0.2\n", "#line=4")]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,0.1,0.2\nCVE-2026-0001,0.1,0.2\n", "#line=3")]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001\n", "#line=2")]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,\"0.1,0.2\n", "#line=2")]
    [InlineData("epss", "#model_version:v1,score_date:soon\ncve,epss,percentile\n", "#line=1")]
    [InlineData("epss", "#model_version:v1\ncve,epss,percentile\nCVE-2026-0001,0.1,0.2\nCVE-2026-0002,0.1", "#line=4")]
    [InlineData("epss", "<html>no</html>", "#line=1")]
    [InlineData("epss", "", "#line=1")]
    [InlineData("kev", """{"vulnerabilities":[{"cveID":"CVE-2026-0001"},{"cveID":"none"}]}""", "/vulnerabilities/1/cveID")]
    [InlineData("kev", """{"vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"01/02/2026"}]}""", "/vulnerabilities/0/dateAdded")]
    [InlineData("kev", """{"count":2,"vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/count")]
    [InlineData("kev", """{"vulnerabilities":[{"cveID":"CVE-2026-0001"},{"cveID":"CVE-2026-0001"}]}""", "/vulnerabilities/1")]
    [InlineData("kev", """{"vulnerabilities":[{"cveID":"CVE-2026-0001"}""", "/vulnerabilities/0")]
    [InlineData("kev", """{"dateReleased":"soon","vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/dateReleased")]
    [InlineData("kev", "cveID,dateAdded\nCVE-2026-0001,2026-01-01\nCVE-2026-0002,soon\n", "#line=3")]
    [InlineData("kev", "cveID,notes,dateAdded\nCVE-2026-0001,\"a\nb\",2026-01-01\nCVE-2026-0002,,soon\n", "#line=4")]
    [InlineData("aliases", """{"aliases":[{"a":"CVE-2026-0001","b":"GHSA-aaaa-bbbb-cccc","source":"x"},{"a":"CVE-2026-0001"}]}""", "/aliases/1/b")]
    [InlineData("aliases", """{"aliases":[{"a":"CVE-2026-0001","b":"cve-2026-0001","source":"x"}]}""", "/aliases/0")]
    [InlineData("aliases", """{"aliases":[{"a":"CVE-2026-0001","b":"GHSA-aaaa-bbbb-cccc"}]}""", "/aliases/0/source")]
    [InlineData("aliases", """[{"id":"GHSA-aaaa-bbbb-cccc","aliases":["CVE-2026-0001"]},{"aliases":["CVE-2026-0001"]}]""", "/1/id")]
    [InlineData("aliases", """[{"id":"GHSA-aaaa-bbbb-cccc","aliases":["CVE-2026-0001",7]}]""", "/0/aliases/1")]
    [InlineData("aliases", "{\"id\":\"GHSA-aaaa-bbbb-cccc\",\"aliases\":[\"CVE-2026-0001\"]}\n{\"id\":7}\n", "#line=2")]
    [InlineData("aliases", "{\"id\":\"GHSA-aaaa-bbbb-cccc\",\"aliases\":[\"CVE-2026-0001\"]}\n{\"id\":\n", "#line=2")]
    [InlineData("aliases", """{"findings":[]}""", "/aliases")]
    public async Task A_wrong_row_is_refused_with_its_place_and_nothing_is_kept(string name, string body, string pointer)
    {
        var tenant = $"wrong-{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(name + body)).AsSpan(0, 8))}";
        using var client = await host.OperatorAsync(tenant);
        using var answer = await client.PutFeedAsync(name, Encoding.UTF8.GetBytes(body));

        Assert.Equal((HttpStatusCode.UnprocessableEntity, "feed.unreadable", pointer), await answer.RefusalAsync());
        Assert.Equal(0L, await host.ScalarAsync<long>(
            "select (select count(*) from vuln_center.epss where tenant = $1) + (select count(*) from vuln_center.kev where tenant = $1) + (select count(*) from vuln_center.alias_edge where tenant = $1) + (select count(*) from vuln_center.feed where tenant = $1)", tenant));
    }

    [Fact]
    public async Task A_record_of_a_table_has_a_bound()
    {
        using var client = await host.OperatorAsync("long-record");
        using var answer = await client.PutFeedAsync("kev", Encoding.UTF8.GetBytes($"cveID,notes\nCVE-2026-0001,\"{new string('x', 400_000)}\"\n"));

        Assert.Equal((HttpStatusCode.UnprocessableEntity, "feed.unreadable", "#line=2"), await answer.RefusalAsync());
    }

    [Fact]
    public async Task An_older_feed_is_refused_unless_it_is_forced()
    {
        using var client = await host.OperatorAsync("older");
        var (newer, older) = (GroupCalls.Epss("2026-01-03T00:00:00+0000", ("CVE-2026-0001", 0.5)), GroupCalls.Epss("2026-01-02T00:00:00+0000", ("CVE-2026-0001", 0.25)));
        await client.FeedAsync("epss", newer);
        await client.FeedAsync("kev", GroupCalls.Kev("2026-01-03T00:00:00Z", "CVE-2026-0001"));
        using var scores = await client.PutFeedAsync("epss", Encoding.UTF8.GetBytes(older));
        using var catalog = await client.PutFeedAsync("kev", Encoding.UTF8.GetBytes(GroupCalls.Kev("2026-01-02T00:00:00Z", "CVE-2026-0001")));
        using var csv = await client.PutFeedAsync("kev", Encoding.UTF8.GetBytes("cveID,dateAdded\nCVE-2026-0001,2025-12-31\n"));
        Assert.Equal(
            ((HttpStatusCode, string)[])[(HttpStatusCode.Conflict, "feed.older"), (HttpStatusCode.Conflict, "feed.older"), (HttpStatusCode.Conflict, "feed.older")],
            new[] { (scores.StatusCode, await scores.CodeOfAsync()), (catalog.StatusCode, await catalog.CodeOfAsync()), (csv.StatusCode, await csv.CodeOfAsync()) });
        Assert.Equal(0.5f, await host.ScalarAsync<float>("select score from vuln_center.epss where tenant = 'older'"));

        await client.FeedAsync("epss", older, "&force=true");

        Assert.Equal(0.25f, await host.ScalarAsync<float>("select score from vuln_center.epss where tenant = 'older'"));
    }

    [Theory]
    [InlineData("epss", "#model_version:v1,score_date:2999-01-01\ncve,epss,percentile\nCVE-2026-0001,0.1,0.2\n", "#line=1")]
    [InlineData("kev", """{"dateReleased":"2999-01-01T00:00:00Z","vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/dateReleased")]
    [InlineData("kev", """{"catalogVersion":"2999.01.01","vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/catalogVersion")]
    [InlineData("kev", "cveID,dateAdded\nCVE-2026-0001,2025-12-31\nCVE-2026-0002,2999-01-01\n", "#line=3")]
    public async Task A_feed_of_a_day_to_come_would_keep_out_all_until_then_and_is_refused(string name, string body, string pointer)
    {
        using var client = await host.OperatorAsync($"future-{name}");
        using var answer = await client.PutFeedAsync(name, Encoding.UTF8.GetBytes(body));
        using var forced = await client.PutFeedAsync(name, Encoding.UTF8.GetBytes(body), "&force=true");

        Assert.Equal((HttpStatusCode.UnprocessableEntity, "feed.unreadable", pointer), await answer.RefusalAsync());
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "feed.unreadable", pointer), await forced.RefusalAsync());
    }

    [Fact]
    public async Task A_feed_is_taken_from_a_publisher_whose_clock_is_ahead()
    {
        using var client = await host.OperatorAsync("ahead");

        var update = await client.FeedAsync("epss", GroupCalls.Epss(DateTimeOffset.UtcNow.AddHours(20).ToString("O", System.Globalization.CultureInfo.InvariantCulture), ("CVE-2026-0001", 0.5)));

        Assert.Equal(1L, update.Added);
    }

    [Theory]
    [InlineData("epss", "cve,epss,percentile\nCVE-2026-0001,0.1,0.2\n", "#line=1")]
    [InlineData("kev", """{"vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/dateReleased")]
    [InlineData("kev", """{"dateReleased":null,"vulnerabilities":[{"cveID":"CVE-2026-0001"}]}""", "/dateReleased")]
    [InlineData("kev", "cveID,dateAdded\nCVE-2026-0001,\n", "#line=1")]
    public async Task A_feed_without_a_date_does_not_replace_one_that_has_a_date_unless_it_is_forced(string name, string body, string pointer)
    {
        using var client = await host.OperatorAsync($"undated-{name}");
        await client.FeedAsync(name, name == "epss" ? GroupCalls.Epss("2026-01-03", ("CVE-2026-0001", 0.5)) : GroupCalls.Kev("2026-01-03T00:00:00Z", "CVE-2026-0001"), "&force=true");
        using var answer = await client.PutFeedAsync(name, Encoding.UTF8.GetBytes(body));
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "feed.unreadable", pointer), await answer.RefusalAsync());

        await client.FeedAsync(name, body, "&force=true");
    }

    [Fact]
    public async Task A_feed_that_is_empty_or_lost_most_of_its_entries_is_refused_unless_it_is_forced()
    {
        using var client = await host.OperatorAsync("shrunk");
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", [.. Enumerable.Range(1, 10).Select(i => ($"CVE-2026-{i:0000}", 0.5))]));
        using var cut = await client.PutFeedAsync("epss", Encoding.UTF8.GetBytes(GroupCalls.Epss("2026-01-03", ("CVE-2026-0001", 0.5))));
        using var empty = await client.PutFeedAsync("kev", Encoding.UTF8.GetBytes(GroupCalls.Kev("2026-01-03T00:00:00Z")));
        Assert.Equal(
            ((HttpStatusCode, string)[])[(HttpStatusCode.Conflict, "feed.shrunk"), (HttpStatusCode.Conflict, "feed.shrunk")],
            new[] { (cut.StatusCode, await cut.CodeOfAsync()), (empty.StatusCode, await empty.CodeOfAsync()) });
        Assert.Equal(9L, (await client.FeedAsync("epss", GroupCalls.Epss("2026-01-03", ("CVE-2026-0001", 0.5)), "&force=true")).Removed);
    }

    [Fact]
    public async Task The_same_feed_again_changes_nothing()
    {
        const string tenant = "again";
        using var client = await host.OperatorAsync(tenant);
        var epss = GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5));
        await client.FeedAsync("epss", epss);
        await client.AliasesAsync("osv", replace: true, "CVE-2026-0001 GHSA-aaaa-bbbb-cccc");
        var state = await StateAsync(tenant);

        Assert.Equal("unchanged", (await client.FeedAsync("epss", epss)).State);
        Assert.Equal("unchanged", (await client.FeedAsync("epss", epss, "&force=true")).State);
        Assert.Equal("unchanged", (await client.AliasesAsync("osv", replace: true, "CVE-2026-0001 GHSA-aaaa-bbbb-cccc")).State);

        Assert.Equal(state, await StateAsync(tenant));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    [InlineData(null)]
    public async Task A_compressed_feed_is_read_also_when_nobody_says_that_it_is_a_gzip_file(string? encoding)
    {
        using var client = await host.OperatorAsync($"compressed-{encoding ?? "file"}");
        var plain = Encoding.UTF8.GetBytes(GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5), ("CVE-2026-0002", 0.5)));
        using var compressed = new MemoryStream();
        using (Stream compressor = encoding == "zstd" ? new ZstdSharp.CompressionStream(compressed, leaveOpen: true) : new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            compressor.Write(plain);
        }

        using var answer = await client.PutFeedAsync("epss", compressed.ToArray(), encoding: encoding);

        Assert.Equal(2L, (await answer.ReadAsync<FeedUpdate>()).Added);
    }

    [Fact]
    public async Task A_compressed_feed_that_was_cut_off_is_refused()
    {
        using var client = await host.OperatorAsync("cut-feed");
        using var compressed = new MemoryStream();
        await using var compressor = new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true);
        compressor.Write(Encoding.UTF8.GetBytes(GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5))));
        compressor.Flush();

        using var answer = await client.PutFeedAsync("epss", compressed.ToArray());

        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        Assert.Contains("cut off", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_feed_answers_with_its_entity_tag_and_304_when_it_is_known()
    {
        using var client = await host.OperatorAsync("tag");
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5)));
        using var first = await client.GetAsync(new Uri("/findings/feeds/epss", UriKind.Relative), TestContext.Current.CancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/findings/feeds/epss");
        request.Headers.TryAddWithoutValidation("If-None-Match", first.Headers.ETag?.Tag);
        using var second = await client.SendAsync(request, TestContext.Current.CancellationToken);
        using var none = await client.GetAsync(new Uri("/findings/feeds/kev", UriKind.Relative), TestContext.Current.CancellationToken);

        Assert.Equal(("\"1\"", HttpStatusCode.NotModified, HttpStatusCode.NotFound), (first.Headers.ETag?.Tag, second.StatusCode, none.StatusCode));
    }

    [Theory]
    [InlineData("epss", "&forse=true", "?forse")]
    [InlineData("epss", "&source=osv", "?source")]
    [InlineData("aliases", "&replace=true", "?source")]
    public async Task A_parameter_that_means_nothing_here_is_refused(string name, string query, string pointer)
    {
        using var client = await host.OperatorAsync("parameters");
        using var answer = await client.PutFeedAsync(name, "x"u8.ToArray(), query);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(pointer, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_tenants_feed_says_nothing_of_anothers_findings()
    {
        using var owner = await host.OperatorAsync("feed-owner");
        using var stranger = await host.OperatorAsync("feed-stranger");
        var report = new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001");
        var theirs = await stranger.ReportAsync(Service, "trivy", report);
        var update = await owner.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5)));
        using var seen = await stranger.GetAsync(new Uri($"/findings/feeds/updates/{update.Id}", UriKind.Relative), TestContext.Current.CancellationToken);

        Assert.Equal([null], await EpssAsync(stranger, theirs));
        Assert.Equal(HttpStatusCode.NotFound, seen.StatusCode);
        Assert.Empty((await stranger.GetFromJsonAsync<FeedList>("/findings/feeds", VulnCenterCalls.Json, TestContext.Current.CancellationToken))?.Items ?? []);
    }

    [Fact]
    public async Task A_recomputation_that_was_cancelled_is_resumed_by_the_same_feed()
    {
        const string tenant = "cancelled";
        using var client = await host.OperatorAsync(tenant);
        var findings = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001"));
        var epss = GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5));
        await client.FeedAsync("epss", epss);
        // As a job leaves it that was cancelled before its first finding.
        await host.ScalarAsync<long>("""
            with job as (update platform.job set state = 'cancelled', result = null where tenant = $1 and kind = 'feed' returning 1),
            feed as (update vuln_center.feed set settled = 0 where tenant = $1 returning 1),
            finding as (update vuln_center.finding set epss = null where tenant = $1 returning 1)
            select (select count(*) from job) + (select count(*) from feed) + (select count(*) from finding)
            """, tenant);
        Assert.False((await FeedAsync(client, "epss")).Settled);

        var update = await client.FeedAsync("epss", epss);

        Assert.Equal(("succeeded", 1L, 1L), (update.State, update.Version, update.Progress.Changed));
        Assert.Equal([0.5], await EpssAsync(client, findings));
        Assert.True((await FeedAsync(client, "epss")).Settled);
    }

    [Fact]
    public async Task A_feed_of_many_rows_is_taken_whole()
    {
        const string tenant = "many";
        using var client = await host.OperatorAsync(tenant);
        var feed = new StringBuilder("#model_version:v1,score_date:2026-01-02\ncve,epss,percentile\n");
        for (var i = 0; i < 60_000; i++)
        {
            feed.Append(CultureInfo.InvariantCulture, $"CVE-{2000 + (i % 27)}-{10_000 + i},0.{i % 97:00}1,0.5\n");
        }

        Assert.Equal(60_000L, (await client.FeedAsync("epss", feed.ToString())).Added);
        Assert.Equal(60_000L, await host.ScalarAsync<long>("select count(*) from vuln_center.epss where tenant = $1", tenant));
    }

    [Fact]
    public async Task A_feed_that_waits_for_a_long_import_holds_up_no_other_import()
    {
        const string tenant = "beside";
        using var client = await host.OperatorAsync(tenant);
        var before = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001"));
        await using var connection = new Npgsql.NpgsqlConnection(host.Database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var import = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var reading = new Npgsql.NpgsqlCommand(VulnCenter.Findings.SettlingLock.Shared, connection))
        {
            reading.Parameters.AddWithValue(tenant);
            await reading.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        using var feed = new StringContent(GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5), ("CVE-2026-0002", 0.25)), Encoding.UTF8, "text/csv");
        using var taken = await client.PutAsync(new Uri("/findings/feeds/epss?wait=0", UriKind.Relative), feed, TestContext.Current.CancellationToken);
        var update = await taken.ReadAsync<FeedUpdate>();
        while (update.State == "queued")
        {
            update = await client.GetFromJsonAsync<FeedUpdate>($"/findings/feeds/updates/{update.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? update;
        }

        var meanwhile = await client.ReportAsync("shop-web", "trivy", new Vulnerable("CVE-2026-0002", "a", "CVE-2026-0002"));

        update = await client.GetFromJsonAsync<FeedUpdate>($"/findings/feeds/updates/{update.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        Assert.Equal(("running", 0L), (update?.State, update?.Progress.Done));
        Assert.Equal([null, 0.25], await EpssAsync(client, [before[0], meanwhile[0]]));
        await import.CommitAsync(TestContext.Current.CancellationToken);
        while (update is { State: "running" })
        {
            update = await client.GetFromJsonAsync<FeedUpdate>($"/findings/feeds/updates/{update.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        }

        Assert.Equal("succeeded", update?.State);
        Assert.Equal([0.5, 0.25], await EpssAsync(client, [before[0], meanwhile[0]]));
    }

    [Fact]
    public async Task A_score_that_crosses_what_the_gate_asks_for_moves_the_finding_through_the_gate_and_others_get_no_version()
    {
        const string tenant = "epss-gate";
        using var client = await host.OperatorAsync(tenant);
        var findings = await client.ReportAsync(Service, "trivy", [.. Enumerable.Range(1, 4).Select(i => new Vulnerable($"CVE-2026-000{i}", "a", $"CVE-2026-000{i}"))]);
        using (var policy = await client.SendAsync(HttpMethod.Put, "/findings/policies/gate", GatePolicy.Default with { Epss = 0.7 }, "*"))
        {
            Assert.True(policy.IsSuccessStatusCode, await policy.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }

        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.7), ("CVE-2026-0002", 0.69999), ("CVE-2026-0003", 0.1), ("CVE-2026-0004", 0.9)));
        Assert.Equal([true, false, false, true], await GatesAsync(client, findings));

        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-03", ("CVE-2026-0001", 0.6), ("CVE-2026-0002", 0.8), ("CVE-2026-0003", 0.2), ("CVE-2026-0004", 0.95)));
        Assert.Equal([false, true, false, true], await GatesAsync(client, findings));
        Assert.Equal([0.6, 0.8, 0.2, 0.95], await EpssAsync(client, findings));
        var versions = await Task.WhenAll(findings.Select(async finding => (await client.FindingAsync(finding)).Finding.Version));
        Assert.Equal([3L, 2L, 1L, 2L], versions);
    }

    [Theory]
    [InlineData(100, 50)]
    [InlineData(3_001, 1_500)]
    public async Task A_chain_of_edges_is_one_cluster_up_to_the_limit_and_falls_apart_where_it_is_cut(int ids, int cut)
    {
        var tenant = $"chain-{ids}";
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:MaxAliasCluster", $"{ids}")]);
        using var client = await module.ClientAsync(tenant, TestContext.Current.CancellationToken, "operator");
        int At(int place) => place * 7919 % ids;
        await client.AliasesAsync("x", replace: false, [.. Enumerable.Range(0, ids - 1).Select(i => $"X-{At(i):0000} X-{At(i + 1):0000}")]);
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(distinct cluster) from vuln_center.alias_cluster where tenant = $1", tenant));

        await client.RemoveEdgeAsync($"X-{At(cut - 1):0000}", $"X-{At(cut):0000}");

        Assert.Equal(
            $"{Math.Min(cut, ids - cut)} {Math.Max(cut, ids - cut)}", await host.ScalarAsync<string>(
                "select string_agg(n::text, ' ' order by n) from (select count(*) as n from vuln_center.alias_cluster where tenant = $1 group by cluster) sizes", tenant));
    }

    private static async Task<Feed> FeedAsync(HttpClient client, string name) =>
        await client.GetFromJsonAsync<Feed>($"/findings/feeds/{name}", VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    private static async Task<IReadOnlyList<double?>> EpssAsync(HttpClient client, IReadOnlyList<Guid> findings)
    {
        List<double?> scores = [];
        foreach (var finding in findings)
        {
            scores.Add((await client.FindingAsync(finding)).Finding.Risk.Epss);
        }

        return scores;
    }

    private static async Task<IReadOnlyList<bool>> GatesAsync(HttpClient client, IReadOnlyList<Guid> findings)
    {
        List<bool> gates = [];
        foreach (var finding in findings)
        {
            gates.Add((await client.FindingAsync(finding)).Finding.Gate);
        }

        return gates;
    }

    private static async Task<IReadOnlyList<bool>> KevAsync(HttpClient client, IReadOnlyList<Guid> findings)
    {
        List<bool> known = [];
        foreach (var finding in findings)
        {
            known.Add((await client.FindingAsync(finding)).Finding.Risk.Kev);
        }

        return known;
    }

    private Task<string> StateAsync(string tenant) => host.ScalarAsync<string>("""
        select (select string_agg(f::text, E'\n' order by name) from vuln_center.feed f where tenant = $1)
          || (select string_agg(e::text || e.xmin, E'\n' order by cve) from vuln_center.epss e where tenant = $1)
          || (select string_agg(e::text || e.xmin, E'\n' order by a, b) from vuln_center.alias_edge e where tenant = $1)
          || (select string_agg(c::text || c.xmin, E'\n' order by id) from vuln_center.alias_cluster c where tenant = $1)
          || (select count(*) from platform.audit_leaf where tenant = $1) || (select count(*) from platform.job where tenant = $1)
        """, tenant);
}
