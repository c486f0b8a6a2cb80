using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class ImportTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    /// <summary>Everything of a tenant that is state; when a finding was last seen and the scans themselves are not.</summary>
    internal const string State = """
        select coalesce(sha256(convert_to(string_agg(line, E'\n' order by line), 'UTF8'))::text, '') from (
          select f::text as line from vuln_center.finding f where tenant = $1
          union all select k::text from vuln_center.finding_key k where tenant = $1
          union all select r::text from vuln_center.dedup_refinement r where tenant = $1
          union all select o::text from vuln_center.observation o where tenant = $1
          union all select d::text from vuln_center.decision d where tenant = $1
          union all select t::text from vuln_center.transition t where tenant = $1
          union all select e::text from platform.event e where tenant = $1 and type not like '%scan-imported%' and type not like '%audit%') state
        """;

    private static byte[] Report(string name) => File.ReadAllBytes(VulnCenterCalls.Fixture(name));

    [Theory]
    [InlineData("trivy", "trivy-shop-api.json")]
    [InlineData("trivy", "trivy-legacy.json")]
    [InlineData("grype", "grype-shop-api.json")]
    [InlineData("sarif", "codeql-shop-api.sarif")]
    [InlineData("sarif", "gitleaks.sarif")]
    [InlineData("generic", "generic-red-team.json")]
    [InlineData("cyclonedx", "cyclonedx-shop-api.json")]
    [InlineData("gitleaks", "gitleaks-v8.json")]
    [InlineData("gitleaks", "gitleaks-v7.json")]
    [InlineData("npm-audit", "npm-audit-6.json")]
    [InlineData("npm-audit", "npm-audit-7.json")]
    [InlineData("nuclei", "nuclei-shop.jsonl")]
    [InlineData("openvex", "openvex-shop-api.json")]
    [InlineData("osv-scanner", "osv-shop-api.json")]
    [InlineData("semgrep", "semgrep-shop-api.json")]
    [InlineData("snyk", "snyk-projects.json")]
    [InlineData("snyk", "snyk-container.json")]
    [InlineData("snyk", "snyk-iac.json")]
    [InlineData("zap", "zap-shop.json")]
    public async Task Every_raw_result_is_accounted_for_and_importing_again_changes_nothing(string format, string file)
    {
        var tenant = $"conserve-{file}";
        using var client = await host.OperatorAsync(tenant);
        var first = await client.ImportAsync(format, "shop-api", Report(file));
        Assert.True(first.Observations > 0);
        Assert.Equal(first.Observations, first.New + first.Matched + first.Reopened + first.Rejected);
        Assert.Equal(first.Observations - first.Rejected, await host.ScalarAsync<long>("select count(*) from vuln_center.observation where tenant = $1", tenant));
        Assert.Equal(first.New, await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1", tenant));
        Assert.Equal(first.Observations, await host.ScalarAsync<long>("select count(*) from vuln_center.decision where tenant = $1", tenant));
        var state = await host.ScalarAsync<string>(State, tenant);

        var second = await client.ImportAsync(format, "shop-api", Report(file));

        Assert.Equal((first.Observations, 0L, 0L, first.Rejected, 0L), (second.Observations, second.New, second.Reopened, second.Rejected, second.FindingsChanged));
        Assert.NotNull(second.RepeatOf);
        Assert.Equal(state, await host.ScalarAsync<string>(State, tenant));
        Assert.Equal(0L, await host.ScalarAsync<long>("select (select count(*) from vuln_center.staged) + (select count(*) from vuln_center.staged_rejection)"));
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/octet-stream")]
    [InlineData("application/x-www-form-urlencoded")]
    public async Task A_report_is_taken_under_the_names_that_clients_give_it_by_themselves(string mediaType)
    {
        using var client = await host.OperatorAsync($"media-{mediaType.Length}");
        using var report = new ByteArrayContent(await File.ReadAllBytesAsync(VulnCenterCalls.Fixture("trivy-shop-api.json"), TestContext.Current.CancellationToken));
        report.Headers.ContentType = new(mediaType);

        using var answer = await client.PostAsync(new Uri("/findings/imports?format=trivy&service=shop-api", UriKind.Relative), report, TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task Identical_reports_sent_at_the_same_time_end_as_one()
    {
        const string tenant = "same-time";
        using var client = await host.OperatorAsync(tenant);
        var report = Report("trivy-shop-api.json");

        var results = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => client.ImportAsync("trivy", "shop-api", report)));

        var findings = await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1", tenant);
        Assert.Equal(findings, results.Sum(result => result.New));
        Assert.All(results, result => Assert.Equal(result.Observations, result.New + result.Matched + result.Reopened + result.Rejected));
        Assert.Equal(results[0].Observations - results[0].Rejected, await host.ScalarAsync<long>("select count(*) from vuln_center.observation where tenant = $1", tenant));
        Assert.Equal(findings, await host.ScalarAsync<long>("select count(*) from vuln_center.transition where tenant = $1", tenant));
    }

    [Fact]
    public async Task A_truncated_report_is_refused_with_the_position_and_leaves_nothing()
    {
        const string tenant = "truncated";
        using var client = await host.OperatorAsync(tenant);

        using var answer = await client.PostReportAsync("trivy", "shop-api", Report("truncated-trivy.json"));

        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Equal("import.report-unreadable", problem.GetProperty("code").GetString());
        Assert.Matches(@"report\.truncated.*byte \d+, line \d+, column \d+", problem.GetProperty("detail").GetString());
        Assert.Equal(0L, await host.ScalarAsync<long>("""
            select (select count(*) from vuln_center.finding where tenant = $1) + (select count(*) from vuln_center.scan where tenant = $1)
                 + (select count(*) from vuln_center.import where tenant = $1) + (select count(*) from platform.job where tenant = $1)
            """, tenant));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    public async Task A_compressed_report_is_the_same_report(string encoding)
    {
        var tenant = $"compressed-{encoding}";
        using var client = await host.OperatorAsync(tenant);
        var plain = await client.ImportAsync("grype", "shop-api", Report("grype-shop-api.json"));
        using var answer = await client.PostReportAsync("grype", "shop-api", Compress(Report("grype-shop-api.json"), encoding), encoding);
        var import = await answer.ReadAsync<Import>();
        Assert.NotNull(import.Result?.RepeatOf);
        Assert.Equal((plain.Observations, 0L), (import.Result.Observations, import.Result.New));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    public async Task A_compression_bomb_is_refused(string encoding)
    {
        using var client = await host.OperatorAsync("bomb");
        using var answer = await client.PostReportAsync("trivy", "shop-api", Compress(new byte[200 << 20], encoding), encoding);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
        Assert.Equal("import.report-too-large", await answer.CodeOfAsync());
    }

    [Fact]
    public async Task Damaged_compressed_data_are_refused()
    {
        using var client = await host.OperatorAsync("damaged");
        var damaged = Compress(Report("trivy-shop-api.json"), "gzip");
        damaged.AsSpan(damaged.Length / 2).Clear();
        using var answer = await client.PostReportAsync("trivy", "shop-api", damaged, "gzip");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
    }

    [Theory]
    [InlineData("format=nope&service=a", "?format")]
    [InlineData("format=trivy", "?service")]
    [InlineData("format=trivy&service=a&scope=most", "?scope")]
    [InlineData("format=trivy&service=a%00b", "?service")]
    [InlineData("format=trivy&service=a&scope=1", "?scope")]
    [InlineData("format=trivy&service=a&service=b", "?service")]
    [InlineData("format=trivy&service=a&scpoe=complete", "?scpoe")]
    [InlineData("format=trivy&service=a&wait=soon", "?wait")]
    [InlineData("format=trivy&service=a&expectEmpty=perhaps", "?expectEmpty")]
    [InlineData("format=trivy&service=a&scannedAt=yesterday", "?scannedAt")]
    public async Task A_bad_parameter_is_named(string query, string pointer)
    {
        using var client = await host.OperatorAsync("parameters");
        using var answer = await client.PostAsync(new Uri($"/findings/imports?{query}", UriKind.Relative), new ByteArrayContent("{}"u8.ToArray()), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Contains(problem.GetProperty("errors").EnumerateArray(), error => error.GetProperty("pointer").GetString() == pointer);
    }

    [Fact]
    public async Task A_report_of_another_tool_is_refused_by_name()
    {
        using var client = await host.OperatorAsync("foreign-format");
        using var answer = await client.PostReportAsync("trivy", "shop-api", Report("codeql-shop-api.sarif"));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
    }

    [Fact]
    public async Task A_shifted_line_and_a_new_severity_change_the_finding_and_neither_close_nor_double_it()
    {
        const string tenant = "shifted";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("sarif", "shop-api", Report("codeql-shop-api.sarif"));
        var before = await client.FindingsAsync("?limit=500");
        var shifted = Edit(Report("codeql-shop-api.sarif"), (member, node) => member is "startLine" or "endLine" ? node.GetValue<int>() + 7 : null);

        var result = await client.ImportAsync("sarif", "shop-api", shifted);

        var after = await client.FindingsAsync("?limit=500");
        Assert.Equal((0L, 0L), (result.New, result.Reopened));
        Assert.True(result.FindingsChanged > 0);
        Assert.Equal(before.Items.Select(f => f.Id).Order(), after.Items.Select(f => f.Id).Order());
        Assert.All(after.Items, finding => Assert.Equal(FindingStatus.Open, finding.Status));
    }

    [Fact]
    public async Task A_secret_is_never_stored()
    {
        using var client = await host.OperatorAsync("secrets");
        var report = Encoding.UTF8.GetString(Report("gitleaks.sarif"));
        await client.ImportAsync("sarif", "shop-api", Encoding.UTF8.GetBytes(report));
        var secrets = JsonNode.Parse(report)?["runs"]?[0]?["results"]?.AsArray()
            .Select(result => result?["locations"]?[0]?["physicalLocation"]?["region"]?["snippet"]?["text"]?.GetValue<string>())
            .OfType<string>().Where(secret => secret.Length > 0).ToList() ?? [];
        Assert.NotEmpty(secrets);
        var stored = await host.ScalarAsync<string>("""
            select string_agg(line, E'\n') from (
              select f::text as line from vuln_center.finding f union all select d::text from vuln_center.decision d
              union all select o::text from vuln_center.observation o union all select j::text from platform.job j) stored
            """);
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, stored, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Findings_posted_in_the_normalized_schema_come_back_one_by_one()
    {
        using var client = await host.OperatorAsync("normalized");
        using var answer = await client.PostAsJsonAsync("/findings?service=shop-api", new
        {
            schemaVersion = "1",
            source = "red-team",
            findings = new object[]
            {
                new { rule = "RT-1", title = "Order ids can be guessed", kind = "dast", severity = "high", host = "shop.example", url = "https://shop.example/orders/1" },
                new { title = "No rule, no id" },
            },
        }, TestContext.Current.CancellationToken);

        var import = await answer.ReadAsync<Import>();
        Assert.NotNull(import.Result);
        Assert.Equal((2L, 1L, 1L), (import.Result.Observations, import.Result.New, import.Result.Rejected));
        Assert.Equal(Outcome.New, Assert.Single(import.Result.Items ?? []).Outcome);
        Assert.Equal("result.unreadable", Assert.Single(import.Result.Rejections).Code);
    }

    [Fact]
    public async Task One_finding_can_be_posted_by_itself_and_names_its_service()
    {
        using var client = await host.OperatorAsync("single");
        using var answer = await client.PostAsJsonAsync("/findings", new
        {
            schemaVersion = "1",
            source = "bug-bounty",
            service = "shop-web",
            rule = "BB-7",
            title = "Open redirect",
            kind = "dast",
            severity = "medium",
            web = new { url = "https://shop.example/login?next=", parameter = "next" },
        }, TestContext.Current.CancellationToken);
        var import = await answer.ReadAsync<Import>();
        var finding = Assert.Single((await client.FindingsAsync("?source=bug-bounty")).Items);
        Assert.Equal(("shop-web", "BB-7", Severity.Medium), (finding.Service, finding.Rule, finding.Severity));
        Assert.Equal(finding.Id, Assert.Single(import.Result?.Items ?? []).Finding);
    }

    [Fact]
    public async Task Findings_of_several_services_in_one_request_are_a_scan_each_and_one_without_a_service_is_rejected()
    {
        using var client = await host.OperatorAsync("several");
        object Of(string? service, string rule) => new { service, rule, title = "t", kind = "config", severity = "low", resource = "r" };
        using var answer = await client.PostAsJsonAsync("/findings", new { schemaVersion = "1", source = "audit", findings = new[] { Of("a", "1"), Of("b", "2"), Of(null, "3") } }, TestContext.Current.CancellationToken);
        var result = (await answer.ReadAsync<Import>()).Result ?? throw new InvalidOperationException("No result.");
        Assert.Equal((3L, 2L, 1L), (result.Observations, result.New, result.Rejected));
        Assert.Equal(["a", "b"], result.Scans.Select(scan => scan.Service).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task An_import_whose_job_is_begun_again_after_its_merge_answers_as_the_first_time_in_the_order_of_the_request()
    {
        const string tenant = "begun-again";
        using var client = await host.OperatorAsync(tenant);
        object Of(string service, string rule) => new { service, rule, title = "t", kind = "config", severity = "low", resource = "r" };
        using var answer = await client.PostAsJsonAsync(
            "/findings", new { schemaVersion = "1", source = "audit", findings = new[] { Of("a", "1"), Of("b", "2"), Of("a", "3") } }, TestContext.Current.CancellationToken);
        var first = await answer.ReadAsync<Import>();
        Assert.Equal(["/findings/0", "/findings/1", "/findings/2"], first.Result?.Items?.Select(item => item.Pointer) ?? []);

        // What a process leaves behind that is killed after the last merge and before the job's end.
        await host.ScalarAsync<Guid>("""
            update platform.job set state = 'queued', result = null, finished_at = null, owner = null, lease_until = null, not_before = '-infinity' where tenant = $1 returning id
            """, tenant);
        var again = first with { State = "queued" };
        while (again.State is "queued" or "running")
        {
            again = await client.GetFromJsonAsync<Import>($"/findings/imports/{first.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? again;
        }

        Assert.Equal("succeeded", again.State);
        Assert.Equal(first.Result?.Items, again.Result?.Items);
        Assert.Equal((first.Result?.Observations, first.Result?.New), (again.Result?.Observations, again.Result?.New));
    }

    [Fact]
    public async Task An_import_that_died_while_it_was_staged_can_be_sent_again_under_its_key()
    {
        const string tenant = "died-staging";
        using var client = await host.OperatorAsync(tenant);
        client.DefaultRequestHeaders.Add("Idempotency-Key", "import-1");
        using var first = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"));
        var import = await first.ReadAsync<Import>();

        // As if the first attempt had been killed before its job was there: what it announced and staged is left behind.
        await host.ScalarAsync<long>("""
            with job as (delete from platform.job where tenant = $1 returning id), key as (delete from platform.idempotency where tenant = $1 returning 1),
            rest as (insert into vuln_center.staged_rejection (import, service, source, pointer, code, reason) select id, 'shop-api', 'trivy', '/left', 'x', 'x' from job returning 1)
            select (select count(*) from job) + (select count(*) from key) + (select count(*) from rest)
            """, tenant);
        using var second = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"));

        var again = await second.ReadAsync<Import>();
        Assert.Equal((import.Id, import.Result?.Observations), (again.Id, again.Result?.Observations));
    }

    [Fact]
    public async Task More_than_ten_thousand_findings_in_one_request_are_refused_and_none_kept()
    {
        const string tenant = "too-many";
        using var client = await host.OperatorAsync(tenant);
        var findings = Enumerable.Range(0, 10_001).Select(i => new { rule = $"R-{i}", title = "t", kind = "config", severity = "low", resource = $"r{i}" });
        using var answer = await client.PostAsJsonAsync("/findings?service=shop-api", new { schemaVersion = "1", source = "audit", findings }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Equal("/findings/10000", problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.import where tenant = $1", tenant));
    }

    [Fact]
    public async Task What_follows_the_ten_thousandth_finding_is_not_read()
    {
        using var client = await host.OperatorAsync("cut-short");
        var cut = "[" + string.Concat(Enumerable.Range(0, 10_001).Select(i => $$"""{"rule":"R-{{i}}","title":"t","kind":"config","resource":"r"},""")) + "{\"rule\":";
        using var content = new StringContent(cut, Encoding.UTF8, "application/json");
        using var answer = await client.PostAsync(new Uri("/findings?service=shop-api", UriKind.Relative), content, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
    }

    [Fact]
    public async Task A_service_with_control_characters_is_refused_in_the_report_as_in_the_address()
    {
        using var client = await host.OperatorAsync("control");
        var result = await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Reports.Generic(
            """{"rule":"1","title":"t","kind":"config","resource":"r","service":"a\u0001b"}""", """{"rule":"2","title":"t","kind":"config","resource":"r"}""")));
        Assert.Equal((1L, 1L), (result.New, result.Rejected));
        Assert.Equal("/findings/0", Assert.Single(result.Rejections).Pointer);
    }

    [Fact]
    public async Task Every_place_of_a_result_is_shown()
    {
        using var client = await host.OperatorAsync("places");
        string At(string path, int line) => $$$"""{"physicalLocation":{"artifactLocation":{"uri":"{{{path}}}"},"region":{"startLine":{{{line}}},"endLine":{{{line + 1}}} } } }""";
        var report = Encoding.UTF8.GetBytes(Reports.Sarif("scanner", "", $$"""{"ruleId":"R1","message":{"text":"m"},"locations":[{{At("a.c", 1)}},{{At("b.c", 2)}},{"logicalLocations":[{"name":"f"}]},{{At("a.c", 9)}}]}"""));
        await client.ImportAsync("sarif", "shop-api", report);

        var detail = await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id);

        Assert.Equal(("a.c", 1), (detail.Finding.Location?.Path, detail.Finding.Location?.Line));
        Assert.Equal([("b.c", 2, 3), ("a.c", 9, 10)], detail.OtherLocations.Select(place => (place.Path, place.Line, place.EndLine)));
        Assert.Equal(0, (await client.ImportAsync("sarif", "shop-api", report)).FindingsChanged);
    }

    [Fact]
    public async Task An_import_that_is_cancelled_after_a_part_of_it_is_merged_goes_on_to_its_end()
    {
        const string tenant = "cancelled-late";
        using var client = await host.OperatorAsync(tenant);
        await using var other = new NpgsqlConnection(host.Database);
        await other.OpenAsync(TestContext.Current.CancellationToken);
        await using var merge = await other.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var holds = new NpgsqlCommand(MergeSql.Lock, other) { Parameters = { new NpgsqlParameter<string> { TypedValue = tenant }, new NpgsqlParameter<string> { TypedValue = "b" } } })
        {
            await holds.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        object Of(string service, string rule) => new { service, rule, title = "t", kind = "config", severity = "low", resource = "r" };
        using var answer = await client.PostAsJsonAsync(
            "/findings?wait=0", new { schemaVersion = "1", source = "audit", findings = new[] { Of("a", "1"), Of("b", "2") } }, TestContext.Current.CancellationToken);
        var import = await answer.ReadAsync<Import>();
        while ((await client.FindingsAsync("?service=a")).Items.Count == 0)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }

        using var cancelled = await client.DeleteAsync(new Uri($"/findings/imports/{import.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        await merge.CommitAsync(TestContext.Current.CancellationToken);
        while (import.State is "queued" or "running")
        {
            import = await client.GetFromJsonAsync<Import>($"/findings/imports/{import.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? import;
        }

        Assert.Equal(("succeeded", 2L), (import.State, import.Result?.New));
        Assert.Single((await client.FindingsAsync("?service=b")).Items);
    }

    [Fact]
    public async Task One_tenants_import_is_nothing_to_another()
    {
        using var owner = await host.OperatorAsync("owner");
        using var stranger = await host.OperatorAsync("stranger");
        using var answer = await owner.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"));
        var import = await answer.ReadAsync<Import>();
        using var seen = await stranger.GetAsync(new Uri($"/findings/imports/{import.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NotFound, seen.StatusCode);
        Assert.Empty((await stranger.FindingsAsync()).Items);
    }

    [Fact]
    public async Task Two_services_with_the_same_report_have_findings_of_their_own()
    {
        using var client = await host.OperatorAsync("two-services");
        var first = await client.ImportAsync("trivy", "shop-api", Report("trivy-shop-api.json"));
        var second = await client.ImportAsync("trivy", "shop-web", Report("trivy-shop-api.json"));
        Assert.Equal(first.New, second.New);
    }

    [Fact]
    public async Task A_report_under_another_source_repeats_nothing()
    {
        using var client = await host.OperatorAsync("another-source");
        using var one = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"), more: "&source=one");
        using var other = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"), more: "&source=other");
        using var again = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"), more: "&source=one");

        Assert.Null((await other.ReadAsync<Import>()).Result?.RepeatOf);
        Assert.Equal((await one.ReadAsync<Import>()).Result?.Scans[0].Scan, (await again.ReadAsync<Import>()).Result?.RepeatOf);
    }

    [Fact]
    public async Task The_same_idempotency_key_is_the_same_import()
    {
        using var client = await host.OperatorAsync("keyed");
        client.DefaultRequestHeaders.Add("Idempotency-Key", "import-1");
        var answers = new List<Import>();
        for (var i = 0; i < 2; i++)
        {
            using var answer = await client.PostReportAsync("trivy", "shop-api", Report("trivy-shop-api.json"));
            answers.Add(await answer.ReadAsync<Import>());
        }

        Assert.Equal(answers[0].Id, answers[1].Id);
        Assert.Equal(answers[0].Result?.New, answers[1].Result?.New);
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from vuln_center.scan where tenant = 'keyed'"));
    }

    private static byte[] Compress(byte[] plain, string encoding)
    {
        using var compressed = new MemoryStream();
        using (Stream compressor = encoding == "gzip" ? new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true) : new ZstdSharp.CompressionStream(compressed, leaveOpen: true))
        {
            compressor.Write(plain);
        }

        return compressed.ToArray();
    }

    /// <summary>A copy of a JSON document with some scalar members replaced.</summary>
    private static byte[] Edit(byte[] report, Func<string, JsonValue, JsonNode?> replace)
    {
        var root = JsonNode.Parse(report) ?? throw new InvalidOperationException("Empty.");
        Walk(root);
        return Encoding.UTF8.GetBytes(root.ToJsonString());

        void Walk(JsonNode node)
        {
            if (node is JsonArray array)
            {
                foreach (var item in array.OfType<JsonNode>())
                {
                    Walk(item);
                }
            }
            else if (node is JsonObject members)
            {
                foreach (var (name, value) in members.ToList())
                {
                    if (value is JsonValue scalar && replace(name, scalar) is { } replaced)
                    {
                        members[name] = replaced;
                    }
                    else if (value is JsonObject or JsonArray)
                    {
                        Walk(value);
                    }
                }
            }
        }
    }
}
