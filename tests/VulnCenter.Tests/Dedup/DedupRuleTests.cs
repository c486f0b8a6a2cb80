using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>docs/dedup.md, "Rules": over real HTTP and PostgreSQL, a tenant for each test.</summary>
public sealed class DedupRuleTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly DedupKeyRule Package = new("package", [FindingKind.Sca], ["rule", "component"]);
    private static readonly DedupKeyRule Code = new("sast", [FindingKind.Sast], ["rule", "path", "code", "occurrence"]);

    [Fact]
    public async Task A_source_begins_with_the_built_in_rules_and_they_pass_for_rules_of_its_own()
    {
        using var client = await host.OperatorAsync("rules-default");
        await client.ShowAsync(Sca("1.0.0"));

        using var answer = await client.GetAsync(new Uri($"/findings/dedup-rules/{Source}", UriKind.Relative), TestContext.Current.CancellationToken);
        var rules = await answer.ReadAsync<DedupRules>();
        using var same = await client.PutRulesAsync(new DedupRulesChange(rules.Default), "\"1\"");

        Assert.Equal(("\"1\"", 1, 0), (answer.Headers.ETag?.Tag, rules.Version, rules.PendingServices));
        Assert.Equal(["fingerprint", "sca-file", "sca", "sast", "dast", "secret", "config", "license", "license-file", "component", "position"], rules.Keys.Select(key => key.Name));
        Assert.Equal((HttpStatusCode.OK, "\"1\""), (same.StatusCode, same.Headers.ETag?.Tag));
        Assert.Equal([new DedupSource(Source, 1)], await client.GetAsync<List<DedupSource>>("/findings/dedup-rules"));
    }

    [Theory]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule","severity"]}]}""", "/keys/0/fields/1", "cannot be severity: scanners change it")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule","Title?"]}]}""", "/keys/0/fields/1", "cannot be title: its words change")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["description","rule"]}]}""", "/keys/0/fields/0", "cannot be description: its words change")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule","path","line"]}]}""", "/keys/0/fields/2", "cannot be line: it shifts with every edit")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule","cwe"]}]}""", "/keys/0/fields/1", "cannot be cwe: it names a class of problems")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule","colour"]}]}""", "/keys/0/fields/1", "must be one of")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule","path","path?"]}]}""", "/keys/0/fields/2", "is named twice")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule","fingerprint?"]}]}""", "/keys/0/fields/1", "cannot be optional")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sast"],"fields":["rule"]}]}""", "/keys/0/fields", "hold nothing but rule")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["component"]}]}""", "/keys/0/fields", "hold nothing but component")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule","occurrence"]}]}""", "/keys/0/fields", "hold nothing but rule")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["component","place"]}]}""", "/keys/0/fields", "a place alone")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule","place?"]}]}""", "/keys/0/fields", "must hold another field that has to be there")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule?","component"]}]}""", "/keys/0/fields", "a place alone")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":[]}]}""", "/keys/0/fields", "must name 1 to")]
    [InlineData("""{"keys":[{"name":"a","kinds":[],"fields":["rule","path"]}]}""", "/keys/0/kinds", "must name one or more kinds")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca","sca"],"fields":["rule","path"]}]}""", "/keys/0/kinds", "each once")]
    [InlineData("""{"keys":[{"name":"drift","kinds":["sca"],"fields":["rule","path"]}]}""", "/keys/0/name", "not drift")]
    [InlineData("""{"keys":[{"name":"A b","kinds":["sca"],"fields":["rule","path"]}]}""", "/keys/0/name", "lower-case letters")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule","path"]},{"name":"a","kinds":["sca"],"fields":["rule","place"]}]}""", "/keys/1/name", "is the name of another key")]
    [InlineData("""{"keys":[]}""", "/keys", "must hold 1 to")]
    [InlineData("""{"keys":[null]}""", "/keys/0", "must be an object")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca"],"fields":["rule",null]}]}""", "/keys/0/fields/1", "must be one of")]
    [InlineData("""{"keys":[{"name":"a","kinds":["sca","sast","dast","secret","config","license"],"fields":["rule","path"]}]}""", "/keys", "leave sca results without a key")]
    [InlineData("""{"keys":[{"name":"a","kinds":["nothing"],"fields":["rule","path"]}]}""", "/keys/0/kinds/0", "")]
    [InlineData("""{}""", "/keys", "")]
    public async Task Rules_that_would_hide_or_lose_findings_are_refused_with_the_field_and_the_reason(string body, string pointer, string reason)
    {
        using var client = await host.OperatorAsync("rules-refused");
        foreach (var query in (string[])["", "?dryRun=true"])
        {
            using var answer = await client.PutRulesAsync(body, query: query);

            Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
            var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
            Assert.Contains(
                problem.GetProperty("errors").EnumerateArray(),
                error => error.GetProperty("pointer").GetString() == pointer && error.GetProperty("reason").GetString()?.Contains(reason, StringComparison.Ordinal) == true);
        }

        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.dedup_rule where tenant = $1", "rules-refused"));
    }

    [Fact]
    public async Task A_change_needs_the_version_it_was_decided_on_and_is_of_one_tenant_and_one_source()
    {
        using var client = await host.OperatorAsync("rules-version");
        using var other = await host.OperatorAsync("rules-other");
        using var reader = await host.Module.ClientAsync("rules-version", TestContext.Current.CancellationToken, "reader");
        var body = new DedupRulesChange([Package, Position]);
        using var missing = await client.PutRulesAsync(body, ifMatch: null);
        using var forbidden = await reader.PutRulesAsync(body);
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => client.PutRulesAsync(new DedupRulesChange([Package with { Name = $"package-{i}" }, Position]), "\"1\"")));

        Assert.Equal((HttpStatusCode.PreconditionRequired, HttpStatusCode.Forbidden), (missing.StatusCode, forbidden.StatusCode));
        Assert.Equal("\"2\"", Assert.Single(all, answer => answer.StatusCode == HttpStatusCode.OK).Headers.ETag?.Tag);
        Assert.All(all.Where(answer => answer.StatusCode != HttpStatusCode.OK), answer => Assert.Equal(HttpStatusCode.PreconditionFailed, answer.StatusCode));
        Assert.Equal(1, (await other.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).Version);
        Assert.Equal(1, (await client.GetAsync<DedupRules>("/findings/dedup-rules/another")).Version);
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from platform.audit_leaf where tenant = $1 and action = 'dedup-rules.changed'", "rules-version"));
    }

    [Fact]
    public async Task A_dry_run_says_what_would_split_and_what_would_merge_and_changes_nothing()
    {
        const string tenant = "rules-dry";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(
            Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json"), Sast("R1", "a.cs", 1, "x()", """{"id":"7"}"""), Sast("R1", "a.cs", 9, "y()", """{"id":"7"}"""),
            Sast("R2", "b.cs", 1, "z()"));
        await client.ImportAsync("generic", "another", Report(Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json")));
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);

        using var answer = await client.PutRulesAsync(new DedupRulesChange([Package, Code, Position]), "\"1\"", "?dryRun=true");
        using var stale = await client.PutRulesAsync(new DedupRulesChange([Package, Code, Position]), "\"2\"", "?dryRun=true");

        var preview = await answer.ReadAsync<DedupPreview>();
        Assert.Equal(HttpStatusCode.PreconditionFailed, stale.StatusCode);
        Assert.Equal((1, 6L, 0L, 1L, 2L), (preview.Version, preview.Findings, preview.Unknown, preview.Splits, preview.Merges));
        var split = Assert.Single(preview.SplitFindings);
        Assert.Equal(Service, split.Service);
        Assert.Equal([1L, 1L], split.Parts.Select(part => part.Count));
        Assert.Equal(
            (await client.FindingAsync(split.Finding)).Observations.Select(o => o.Id).Order(), split.Parts.SelectMany(part => part.Observations).Order());
        Assert.All(split.Parts, part => Assert.Equal(("sast", "a.cs"), (part.KeyKind, part.Fields["path"])));
        Assert.Equal(["another", Service], preview.MergedFindings.Select(merged => merged.Service));
        Assert.All(preview.MergedFindings, merged => Assert.Equal((2L, "package", "pkg:npm/lodash"), (merged.Count, merged.KeyKind, merged.Fields["component"])));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
        Assert.Equal(1, (await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).Version);
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from platform.job where tenant = $1 and kind = 'dedup-rekey'", tenant));
    }

    [Fact]
    public async Task A_dry_run_that_is_not_waited_for_is_asked_for_and_ends_with_the_same_preview()
    {
        using var client = await host.OperatorAsync("rules-trial");
        using var stranger = await host.OperatorAsync("rules-trial-stranger");
        await client.ShowAsync(Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json"), Sast("R2", "b.cs", 1, "z()"));
        using var waited = await client.PutRulesAsync(new DedupRulesChange([Package, Code, Position]), "\"1\"", "?dryRun=true");
        var expected = await waited.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);

        using var answer = await client.PutRulesAsync(new DedupRulesChange([Package, Code, Position]), "\"1\"", "?dryRun=true&wait=0");
        var trial = answer.StatusCode == HttpStatusCode.Accepted ? await answer.ReadAsync<DedupTrial>() : throw new InvalidOperationException($"{answer.StatusCode}");
        using var strange = await stranger.GetAsync(answer.Headers.Location, TestContext.Current.CancellationToken);
        while (trial.State is "queued" or "running")
        {
            trial = await client.GetAsync<DedupTrial>($"{answer.Headers.Location}");
        }

        Assert.Equal(("succeeded", HttpStatusCode.NotFound), (trial.State, strange.StatusCode));
        Assert.Equal((3L, 3L), (trial.Progress.Findings, trial.Progress.Done));
        Assert.Equal(expected, System.Text.Json.JsonSerializer.Serialize(trial.Preview, VulnCenterCalls.Json));
        using var late = await client.DeleteAsync(answer.Headers.Location, TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.Conflict, "dedup.trial-finished"), (late.StatusCode, await late.CodeOfAsync()));
    }

    [Fact]
    public async Task A_dry_run_can_be_cancelled_while_it_runs()
    {
        var (module, database) = await host.StartAloneAsync();
        await using var _ = module;
        using var client = await module.ClientAsync("rules-cancel", TestContext.Current.CancellationToken, "operator");
        await client.ShowAsync(Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json"));
        await using var connection = new Npgsql.NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var holding = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var hold = new Npgsql.NpgsqlCommand("lock table vuln_center.observation in access exclusive mode", connection))
        {
            await hold.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        using var answer = await client.PutRulesAsync(new DedupRulesChange([Package, Code, Position]), "\"1\"", "?dryRun=true&wait=0");
        var trial = await answer.ReadAsync<DedupTrial>();
        while (trial.State == "queued")
        {
            trial = await client.GetAsync<DedupTrial>($"{answer.Headers.Location}");
        }

        using var cancelled = await client.DeleteAsync(answer.Headers.Location, TestContext.Current.CancellationToken);
        while (trial.State == "running")
        {
            trial = await client.GetAsync<DedupTrial>($"{answer.Headers.Location}");
        }

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.OK, "cancelled"), (answer.StatusCode, cancelled.StatusCode, trial.State));
        Assert.Null(trial.Preview);
    }

    [Fact]
    public async Task What_would_merge_stays_two_findings_and_the_one_first_seen_is_recognised()
    {
        const string tenant = "rules-merge";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0"));
        var first = await client.OnlyFindingAsync();
        await client.ShowAsync(Sca("1.0.0", manifest: "web/package-lock.json"));
        var second = (await client.FindingsAsync()).Items.Single(item => item.Id != first.Id);

        var rules = await client.ChangeRulesAsync(Package, Position);
        var again = await client.ShowAsync(Sca("1.0.0", manifest: "web/package-lock.json"));

        Assert.Equal((2, 0), (rules.Version, rules.PendingServices));
        Assert.Equal((0L, 1L), (again.New, again.Matched));
        Assert.Equal([first.Id, second.Id], (await client.FindingsAsync("?status=open")).Items.Select(item => item.Id).Order());
        var lost = Assert.Single((await client.GetAsync<DecisionPage>($"/findings/decisions?finding={second.Id}&outcome=released")).Items);
        Assert.Equal((2, "package", first.Id), (lost.RuleSet, lost.KeyKind, Assert.Single(lost.Candidates)));
        var matched = (await client.GetAsync<DecisionPage>($"/findings/decisions?finding={first.Id}&outcome=matched")).Items;
        Assert.Equal((2, "package"), (matched[0].RuleSet, matched[0].KeyKind));
    }

    [Fact]
    public async Task Coarser_rules_close_nothing_that_the_report_still_shows()
    {
        const string tenant = "rules-coarser";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [.. Enumerable.Range(0, 30).Select(i => With(
            Sca("1.0.0", manifest: $"m{i}/package-lock.json"), $$"""{"rule":"CVE-2022-{{1000 + (i % 5)}}","component":{"name":"n{{i % 3}}","ecosystem":"npm","version":"1"} }"""))];
        Assert.Equal(30L, (await client.ImportAsync("generic", Service, Report(report), "&scope=complete")).New);
        await client.ChangeRulesAsync(Package, Position);

        // The same results with another version and line of the report: it is what they are recognised by that counts, not their bytes.
        var again = await client.ImportAsync("generic", Service, Report([.. report.Select(finding => finding.Replace("\"version\":\"1\"", "\"version\":\"2\"", StringComparison.Ordinal))]), "&scope=complete");

        Assert.Equal((0L, 30L, 0L), (again.New, again.Matched, again.FindingsFixed));
        Assert.Equal(30, (await client.FindingsAsync("?status=open&limit=100")).Items.Count);
        var half = await client.ImportAsync("generic", Service, Report([.. report.Take(15)]), "&scope=complete");
        var gone = (await client.FindingsAsync("?status=fixed&limit=100")).Items;
        Assert.Equal((0L, 15L, gone.Count), (half.New, half.Matched, (int)half.FindingsFixed));
        Assert.NotEmpty(gone);
        Assert.All(gone, finding => Assert.Contains(finding.Component?.Manifest, Enumerable.Range(15, 15).Select(i => $"m{i}/package-lock.json")));
    }

    [Fact]
    public async Task What_would_split_keeps_its_first_result_and_the_next_import_makes_another_finding_once()
    {
        const string tenant = "rules-split";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [Sast("R1", "a.cs", 1, "x()", """{"id":"7"}"""), Sast("R1", "a.cs", 9, "y()", """{"id":"7"}""")];
        await client.ShowAsync(report);
        var finding = await client.OnlyFindingAsync();

        await client.ChangeRulesAsync(Code, Position);
        var released = (await client.GetAsync<DecisionPage>($"/findings/decisions?finding={finding.Id}&outcome=released")).Items;
        var before = await client.FindingsAsync();
        var next = await client.ShowAsync(report);
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        var last = await client.ShowAsync([.. report.Reverse()]);

        var left = (await client.FindingAsync(finding.Id)).Observations.Single(o => o.Id == Assert.Single(released).Observation);
        Assert.Equal(10, left.Identity?.Line + finding.Location?.Line);
        Assert.Single(before.Items);
        Assert.Equal((1L, 1L), (next.New, next.Matched));
        Assert.Equal((0L, 2L, 0L), (last.New, last.Matched, last.FindingsChanged));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    [Fact]
    public async Task Rules_that_are_taken_back_find_the_same_findings_as_before()
    {
        const string tenant = "rules-back";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json"), Sast("R1", "a.cs", 1, "x()", """{"id":"7"}"""), Sast("R1", "a.cs", 9, "y()", """{"id":"7"}""")];
        await client.ShowAsync(report);
        var keys = await KeysAsync(tenant);

        await client.ChangeRulesAsync(Package, Code, Position);
        var changed = await KeysAsync(tenant);
        await client.ChangeRulesAsync([.. (await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).Default]);
        var again = await client.ShowAsync(report);

        Assert.NotEqual(keys, changed);
        Assert.Equal((0L, 4L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal(keys, await KeysAsync(tenant));
    }

    [Fact]
    public async Task A_report_read_by_the_rules_of_before_is_merged_by_those_in_force()
    {
        const string tenant = "rules-meanwhile";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0"));
        await using var connection = new NpgsqlConnection(host.Database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using (var held = new NpgsqlCommand("select pg_advisory_lock(hashtextextended('vuln-center/' || length($1) || ':' || $1 || '/' || $2, 16))", connection))
        {
            held.Parameters.AddWithValue(tenant);
            held.Parameters.AddWithValue(Service);
            await held.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        // Staged, and waiting for the service.
        using var staged = await client.PostReportAsync("generic", Service, Report(Sca("1.0.0"), Sca("2.0.0", manifest: "web/package-lock.json")), more: "&wait=0");
        var import = await staged.ReadAsync<Import>();
        var rules = await client.ChangeRulesAsync(Package, Position);
        await connection.CloseAsync();
        NpgsqlConnection.ClearPool(connection);
        while (import.State is "queued" or "running")
        {
            import = await client.GetAsync<Import>($"/findings/imports/{import.Id}");
        }

        Assert.Equal((HttpStatusCode.Accepted, 1), (staged.StatusCode, rules.PendingServices));
        Assert.Equal((0L, 2L), (import.Result?.New, import.Result?.Matched));
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(distinct kind) from vuln_center.finding_key where tenant = $1 and kind = 'package'", tenant));
        Assert.Equal(2, (await client.GetAsync<DecisionPage>($"/findings/decisions?service={Service}")).Items[0].RuleSet);
        Assert.Equal(0, (await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).PendingServices);
    }

    [Fact]
    public async Task The_job_that_applies_rules_may_be_begun_again_at_any_time()
    {
        const string tenant = "rules-job";
        using var client = await host.OperatorAsync(tenant);
        foreach (var service in (string[])["a", "b", "c"])
        {
            await client.ImportAsync("generic", service, Report(Sca("1.0.0"), Sca("1.0.0", manifest: "web/package-lock.json")));
        }

        await client.ChangeRulesAsync(Package, Position);
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        // What a process leaves behind that is killed when two of the three services are done.
        await host.ScalarAsync<string>("""
            with undone as (delete from vuln_center.dedup_keyed where tenant = $1 and service = 'c' returning 1)
            update platform.job set state = 'queued', result = null, finished_at = null, owner = null, lease_until = null, not_before = '-infinity'
            where tenant = $1 and kind = 'dedup-rekey' and exists (select from undone) returning kind
            """, tenant);
        var rules = await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}");
        while (rules.PendingServices > 0)
        {
            rules = await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}");
        }

        Assert.Equal(6L, await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1", tenant));
        Assert.Equal(3L, await host.ScalarAsync<long>("select count(distinct service) from vuln_center.finding_key where tenant = $1 and kind = 'package'", tenant));
        Assert.Equal(3L, await host.ScalarAsync<long>("select count(*) from vuln_center.finding_key where tenant = $1", tenant));
        Assert.NotEqual("", state);
        Assert.Equal(0L, await host.ScalarAsync<long>(UnmergeTests.Broken, tenant));
    }

    [Fact]
    public async Task Imports_while_rules_change_lose_nothing_and_end_as_the_last_rules_say()
    {
        const string tenant = "rules-parallel";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [.. Enumerable.Range(0, 40).Select(i => Sca("1.0.0", manifest: $"m{i / 2}/package-lock.json", more: $$"""{"rule":"CVE-{{i % 2}}","identifiers":[]}"""))];
        await client.ShowAsync(report);
        var findings = await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1", tenant);
        var byPlace = new DedupKeyRule("in-place", [FindingKind.Sca], ["rule", "component", "place"]);

        var imports = Enumerable.Range(0, 8).Select(_ => client.ShowAsync(report)).ToArray();
        foreach (var name in (string[])["x", "y", "z"])
        {
            await client.ChangeRulesAsync(byPlace with { Name = $"in-place-{name}" }, Position);
        }

        var results = await Task.WhenAll(imports);
        var last = await client.ShowAsync(report);

        Assert.All(results, result => Assert.Equal((40L, 0L, 40L), (result.Observations, result.New, result.Matched)));
        Assert.Equal((0L, 40L), (last.New, last.Matched));
        Assert.Equal(findings, await host.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1", tenant));
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.finding_key where tenant = $1 and kind <> 'in-place-z'", tenant));
    }

    [Fact]
    public async Task Findings_of_before_identities_were_kept_keep_their_keys()
    {
        const string tenant = "rules-unknown";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0"));
        await host.ScalarAsync<Guid>("update vuln_center.observation set identity = null where tenant = $1 returning id", tenant);
        var keys = await KeysAsync(tenant);

        using var dry = await client.PutRulesAsync(new DedupRulesChange([Package, Position]), query: "?dryRun=true");
        await client.ChangeRulesAsync(Package, Position);

        Assert.Equal(1L, (await dry.ReadAsync<DedupPreview>()).Unknown);
        Assert.Equal(keys, await KeysAsync(tenant));
    }

    private Task<string> KeysAsync(string tenant) => host.ScalarAsync<string>(
        "select string_agg(kind || ' ' || encode(key, 'hex') || ' ' || finding, E'\\n' order by key) from vuln_center.finding_key where tenant = $1", tenant);
}
