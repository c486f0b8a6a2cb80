using System.Net;
using System.Text.Json;
using NJsonSchema;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Findings;

namespace Wave16.VulnCenter.Tests.Reporting;

public sealed class ReportTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string> Names => ["program-graph", "safety-console", "control-plane"];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_report_is_what_its_schema_says_and_the_same_bytes_each_time(string name)
    {
        using var client = await host.OperatorAsync($"schema-{name}");
        var schema = await JsonSchema.FromFileAsync(VulnCenterCalls.Fixture($"../docs/reports/{name}.v1.schema.json"), Cancellation);
        var empty = await client.GetStringAsync(Address(name), Cancellation);
        await client.ImportAsync("trivy", "shop: api", File.ReadAllBytes(VulnCenterCalls.Fixture("trivy-shop-api.json")));
        await client.ImportAsync("sarif", "shop/web", File.ReadAllBytes(VulnCenterCalls.Fixture("codeql-shop-api.sarif")));
        await client.ImportAsync("generic", "shop-red", OneFinding.Report("critical"));
        var full = await client.GetStringAsync(Address(name), Cancellation);

        Assert.Empty(schema.Validate(empty).Select(error => $"{error} in {empty}"));
        Assert.Empty(schema.Validate(full).Select(error => error.ToString()));
        Assert.NotEmpty(schema.Validate(full.Replace("\"schemaVersion\":\"1\"", "\"schemaVersion\":\"2\"", StringComparison.Ordinal)));
        Assert.True(full.Length > empty.Length);
        Assert.Equal(full, await client.GetStringAsync(Address(name), Cancellation));
    }

    [Fact]
    public async Task The_graph_has_each_thing_once_and_edges_only_between_what_it_has()
    {
        using var http = await host.OperatorAsync("graph");
        var client = new VulnCenterClient(http);
        foreach (var service in (string[])["shop-api", "shop-web"])
        {
            await http.ImportAsync("trivy", service, File.ReadAllBytes(VulnCenterCalls.Fixture("trivy-shop-api.json")));
        }

        // Without care both files would be file:a:b:c.
        await http.ImportAsync("generic", "a:b", Sast("c"));
        await http.ImportAsync("generic", "a", Sast("b:c"));
        var text = await http.GetStringAsync(Address("program-graph"), Cancellation);
        var graph = (await client.ProgramGraphReportAsync(cancellation: Cancellation)).Graph;
        var one = (await client.ProgramGraphReportAsync("shop-api", Cancellation)).Graph;

        // Refuses a member that is there twice.
        Assert.Equal(graph.Nodes.Count, JsonSerializer.Deserialize<JsonElement>(text, VulnCenterCalls.Json).GetProperty("graph").GetProperty("nodes").EnumerateObject().Count());
        Assert.All(graph.Edges, edge => Assert.True(graph.Nodes.ContainsKey(edge.Source) && graph.Nodes.ContainsKey(edge.Target), $"{edge}"));
        Assert.Equal(graph.Edges.Count, graph.Edges.Distinct().Count());
        Assert.Equal((await http.FindingsAsync("?limit=500")).Items.Select(finding => $"finding:{finding.Id}").Order(), graph.Nodes.Keys.Where(id => id.StartsWith("finding:", StringComparison.Ordinal)).Order());
        Assert.Equal(["file:a%3Ab:c", "file:a:b:c"], graph.Nodes.Keys.Where(id => id.EndsWith(":c", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        var component = graph.Nodes.Keys.First(id => id.StartsWith("component:", StringComparison.Ordinal));
        Assert.Equal(2, graph.Edges.Count(edge => edge.Source == component && edge.Relation == "part-of"));
        Assert.Equal(["service:shop-api"], one.Nodes.Keys.Where(id => id.StartsWith("service:", StringComparison.Ordinal)));
        Assert.Single(one.Edges, edge => edge.Source == component && edge.Relation == "part-of");
    }

    [Fact]
    public async Task The_gates_are_those_that_stand_and_the_posture_counts_every_finding()
    {
        using var http = await host.OperatorAsync("gates");
        var client = new VulnCenterClient(http);
        var critical = await http.ImportOneAsync("shop-api", "critical");
        var low = await http.ImportOneAsync("shop-web", "low");
        var before = await client.SafetyConsoleReportAsync(cancellation: Cancellation);
        var posture = await client.ControlPlaneReportAsync(cancellation: Cancellation);
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "r" }])
        {
            using var moved = await http.MoveAsync(critical.Id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        var after = await client.SafetyConsoleReportAsync(cancellation: Cancellation);
        var fixedNow = Assert.Single((await client.ControlPlaneReportAsync("shop-api", Cancellation)).Items);

        var gate = Assert.Single(before.Gates);
        Assert.Equal(($"vuln:shop-api:{critical.Id}", critical.Title, $"http://localhost:5016/findings/{critical.Id}"), (gate.Key, gate.Title, gate.Url));
        Assert.Equal([new ServiceGate("shop-api", true, 1), new ServiceGate("shop-web", false, 0)], before.Services);
        Assert.Equal(("shop-api", "blocked", 1L, 1L, Severity.Critical), (posture.Items[0].Service, posture.Items[0].Gate, posture.Items[0].Gates, posture.Items[0].Counts["critical"]["open"], posture.Items[0].WorstOpen));
        Assert.Equal(("shop-web", "clear", 1L, Severity.Low), (posture.Items[1].Service, posture.Items[1].Gate, posture.Items[1].Open, posture.Items[1].WorstOpen));
        Assert.Equal(low.FirstSeen, posture.Items[1].OldestOpen);
        Assert.Empty(after.Gates);
        Assert.Equal((0L, 1L, null, null), (fixedNow.Open, fixedNow.Counts["critical"]["fixed"], fixedNow.WorstOpen, fixedNow.OldestOpen));
    }

    [Fact]
    public async Task The_posture_has_the_backlog_that_the_summary_has_beside_what_is_suppressed()
    {
        using var http = await host.OperatorAsync("posture-backlog");
        var client = new VulnCenterClient(http);
        SeededFinding[] findings =
        [
            new() { Severity = Severity.Critical, Kev = true, Suppression = SuppressionKind.RiskAccepted },
            new() { Severity = Severity.Critical, Status = FindingStatus.Triaged },
            new() { Severity = Severity.Low, Kev = true },
            new() { Severity = Severity.Low, Kev = true, Status = FindingStatus.Fixed },
            new() { Severity = Severity.High, Status = FindingStatus.Fixed, Suppression = SuppressionKind.FalsePositive },
        ];
        await SeededFinding.InsertAsync(host.Database, "posture-backlog", findings);

        var summary = await client.SummaryAsync("shop-api", Cancellation);
        var posture = Assert.Single((await client.ControlPlaneReportAsync(cancellation: Cancellation)).Items);
        var table = (await http.GetStringAsync(Address("control-plane", "?format=csv"), Cancellation)).Split("\r\n");

        Assert.Equal((2L, 1L, 1L), (summary.Open, summary.Suppressed, summary.KnownExploited));
        Assert.Equal((summary.Open, summary.Suppressed, summary.KnownExploited), (posture.Backlog.Open, posture.Suppressed, posture.Backlog.KnownExploited));
        Assert.Equal(summary.BySeverity, posture.Backlog.BySeverity.Where(count => count.Value > 0).ToDictionary(StringComparer.Ordinal));
        Assert.Equal((3L, 2L), (posture.Open, posture.KnownExploited));
        Assert.EndsWith(",backlog,backlog known exploited", table[0], StringComparison.Ordinal);
        Assert.EndsWith(",2,1", table[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Gates_and_the_graph_say_what_is_known_to_be_exploited_and_when_it_is_due()
    {
        using var http = await host.OperatorAsync("due-reports");
        var client = new VulnCenterClient(http);
        var due = await http.ImportOneAsync("shop-api", "critical");
        var exploited = Guid.CreateVersion7();
        await SeededFinding.InsertAsync(host.Database, "due-reports",
            [new SeededFinding { Id = exploited, Service = "shop-web", Severity = Severity.Low, Kev = true, FirstSeen = DateTimeOffset.UnixEpoch, Sla = SlaState.Breached }]);

        var gate = Assert.Single((await client.SafetyConsoleReportAsync(cancellation: Cancellation)).Gates);
        var row = (await http.GetStringAsync(Address("safety-console", "?format=csv"), Cancellation)).Split("\r\n")[1];
        var text = await http.GetStringAsync(Address("program-graph"), Cancellation);
        var nodes = (await client.ProgramGraphReportAsync(cancellation: Cancellation)).Graph.Nodes;
        var schema = await JsonSchema.FromFileAsync(VulnCenterCalls.Fixture("../docs/reports/program-graph.v1.schema.json"), Cancellation);

        Assert.Equal((false, due.Sla.Due, null), (gate.Kev, gate.Due, gate.Breached));
        Assert.NotNull(gate.Due);
        Assert.EndsWith($",false,{gate.Due?.UtcDateTime:O},", row, StringComparison.Ordinal);
        Assert.Equal(gate.Due, nodes[$"finding:{due.Id}"].Metadata["due"].GetDateTimeOffset());
        var other = nodes[$"finding:{exploited}"].Metadata;
        Assert.Equal((true, DateTimeOffset.UnixEpoch, false), (other["kev"].GetBoolean(), other["breached"].GetDateTimeOffset(), other.ContainsKey("due")));
        Assert.Empty(schema.Validate(text));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task The_entity_tag_changes_with_the_findings_it_is_about_and_with_nothing_else(string name)
    {
        using var client = await host.OperatorAsync($"tags-{name}");
        using var stranger = await host.OperatorAsync($"tags-stranger-{name}");
        var finding = await client.ImportOneAsync("shop-api", "critical");
        var tag = await TagAsync(client, name, "?service=shop-api");
        await client.ImportAsync("generic", "shop-api", OneFinding.Report("critical"));
        await client.ImportAsync("generic", "shop-web", OneFinding.Report("critical"));
        await stranger.ImportAsync("generic", "shop-api", OneFinding.Report("critical"));
        using var unchanged = await AskAsync(client, name, "?service=shop-api", tag);
        Assert.Equal((HttpStatusCode.NotModified, 0, tag), (unchanged.StatusCode, (await unchanged.Content.ReadAsByteArrayAsync(Cancellation)).Length, unchanged.Headers.ETag?.Tag));

        HashSet<string> tags = [tag, await TagAsync(client, name, ""), await TagAsync(client, name, "?service=shop-api&format=csv"), await TagAsync(client, name, "?service=shop-web")];
        foreach (var change in (Func<Task>[])
        [
            async () => (await client.MoveAsync(finding.Id, new { status = "triaged" }, "*")).EnsureSuccessStatusCode(),
            () => client.ImportAsync("generic", "shop-api", OneFinding.Report("low")),
            () => client.ImportAsync("generic", "shop-api", OneFinding.Report("low", "RT-2")),
            () => client.AttachEvidenceAsync(finding.Id),
        ])
        {
            await change();
            using var changed = await AskAsync(client, name, "?service=shop-api", tag);
            Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
            tag = changed.Headers.ETag?.Tag ?? "";
            Assert.True(tags.Add(tag), $"{tag} again");
        }

        using var any = await AskAsync(client, name, "", "\"other\", W/" + await TagAsync(client, name, ""));
        Assert.Equal(HttpStatusCode.NotModified, any.StatusCode);
    }

    [Fact]
    public async Task People_get_a_table_in_which_nothing_is_a_formula()
    {
        using var client = await host.OperatorAsync("csv");
        foreach (var (service, title) in ((string, string)[])[("a", "=cmd|'/C calc'!A0"), ("b", "  +1, \"quoted\""), ("c", "@SUM(1)"), ("d", "-1"), ("e", "plain - and = inside"), ("f", "\uFF1D1")])
        {
            await client.ImportAsync("generic", service, OneFinding.Report("critical", title: title));
        }

        using var answer = await client.GetAsync(Address("safety-console", "?format=csv"), Cancellation);
        var rows = (await answer.Content.ReadAsStringAsync(Cancellation)).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var titles = rows.Skip(1).Select(row => row[(row.IndexOf('Z', StringComparison.Ordinal) + 2)..row.LastIndexOf(',', row.LastIndexOf(",vuln:", StringComparison.Ordinal) - 1)]);

        Assert.Equal(("text/csv", "attachment"), (answer.Content.Headers.ContentType?.MediaType, answer.Content.Headers.ContentDisposition?.DispositionType));
        Assert.Equal("service,severity,status,since,title,finding,key,url,known exploited,due,overdue since", rows[0]);
        Assert.Equal(["'=cmd|'/C calc'!A0", "\"'+1, \"\"quoted\"\"\"", "'@SUM(1)", "'-1", "plain - and = inside", "'\uFF1D1"], titles.Select(title => title.Replace("'  +", "'+", StringComparison.Ordinal)));
        Assert.Equal(7, (await client.GetStringAsync(Address("control-plane", "?format=csv"), Cancellation)).Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.StartsWith("source,relation,target\r\n", await client.GetStringAsync(Address("program-graph", "?format=csv"), Cancellation), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("*/*", "application/json")]
    [InlineData("text/csv", "text/csv")]
    [InlineData("text/csv;q=0.5, application/json", "application/json")]
    [InlineData("text/*, application/json;q=0.1", "text/csv")]
    [InlineData("image/png", "application/problem+json")]
    public async Task It_comes_as_the_caller_likes_it_best(string accept, string type)
    {
        using var client = await host.OperatorAsync("accept");
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("control-plane"));
        request.Headers.TryAddWithoutValidation("Accept", accept);
        using var answer = await client.SendAsync(request, Cancellation);
        Assert.Equal(type, answer.Content.Headers.ContentType?.MediaType);
        Assert.Equal(type == "application/problem+json" ? HttpStatusCode.NotAcceptable : HttpStatusCode.OK, answer.StatusCode);
    }

    [Theory]
    [InlineData("?service=")]
    [InlineData("?format=xml")]
    [InlineData("?servcie=shop-api")]
    [InlineData("?service=a&service=b")]
    public async Task A_parameter_that_would_change_what_is_meant_is_refused(string query)
    {
        using var client = await host.OperatorAsync("parameters");
        using var answer = await client.GetAsync(Address("safety-console", query), Cancellation);
        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid"), (answer.StatusCode, await answer.CodeOfAsync()));
    }

    [Fact]
    public async Task A_foreign_tenant_sees_nothing_of_it()
    {
        using var owner = await host.OperatorAsync("report-owner");
        using var http = await host.OperatorAsync("report-stranger");
        await owner.ImportAsync("generic", "shop-api", OneFinding.Report("critical"));
        var stranger = new VulnCenterClient(http);
        Assert.Empty((await stranger.SafetyConsoleReportAsync("shop-api", Cancellation)).Services);
        Assert.Empty((await stranger.ControlPlaneReportAsync("shop-api", Cancellation)).Items);
        Assert.Empty((await stranger.ProgramGraphReportAsync("shop-api", Cancellation)).Graph.Nodes);
        Assert.Null((await stranger.ControlPlaneReportAsync(cancellation: Cancellation)).AsOf);
    }

    private static Uri Address(string name, string query = "") => new($"/reports/{name}{query}", UriKind.Relative);

    private static byte[] Sast(string path) => JsonSerializer.SerializeToUtf8Bytes(new
    {
        schemaVersion = "1",
        source = "audit",
        findings = new[] { new { rule = "A-1", title = "t", kind = "sast", severity = "high", location = new { path, startLine = 3 } } },
    });

    private static async Task<HttpResponseMessage> AskAsync(HttpClient client, string name, string query, string tag)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address(name, query));
        request.Headers.TryAddWithoutValidation("If-None-Match", tag);
        return await client.SendAsync(request, Cancellation);
    }

    private static async Task<string> TagAsync(HttpClient client, string name, string query)
    {
        using var answer = await client.GetAsync(Address(name, query), Cancellation);
        answer.EnsureSuccessStatusCode();
        return answer.Headers.ETag?.Tag ?? throw new InvalidOperationException("No entity tag.");
    }
}
