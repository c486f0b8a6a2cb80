using System.Net;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>The import against a naive model of docs/dedup.md, in random small worlds; a tenant for each.</summary>
public sealed class MergePropertyTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";

    private const string Signature = """
        select coalesce(string_agg(line, E'\n' order by line collate "C"), '') from (
          select f.status || ' ' || f.severity || ' ' || case when f.regression then 't' else 'f' end || ' ' || (
            select string_agg(encode(o.payload_hash, 'hex') || ':' || o.occurrence, ',' order by (encode(o.payload_hash, 'hex') || ':' || o.occurrence) collate "C")
            from vuln_center.observation o where o.tenant = f.tenant and o.finding = f.id) as line
          from vuln_center.finding f where f.tenant = $1) findings
        """;

    /// <summary>Rows that contradict what must hold after any history: a history as long as the version, a gate exactly where one belongs, an owner for every key, an audit leaf.</summary>
    private const string Broken = """
        select (select count(*) from vuln_center.finding f where f.tenant = $1 and (
                 f.version <> (select count(*) from vuln_center.transition t where t.tenant = f.tenant and t.finding = f.id)
                 or f.status <> (select t.to_status from vuln_center.transition t where t.tenant = f.tenant and t.finding = f.id order by t.version desc limit 1)
                 or f.gate <> (f.severity = 6 and f.status in (1, 2) and f.suppression is null)
                 or not exists (select from vuln_center.finding_key k where k.tenant = f.tenant and k.finding = f.id)
                 or not exists (select from vuln_center.observation o where o.tenant = f.tenant and o.finding = f.id)
                 or not exists (select from platform.audit_leaf a where a.tenant = f.tenant and a.hash = f.audit_hash)))
             + (select count(*) from vuln_center.finding_key k where k.tenant = $1
                 and not exists (select from vuln_center.finding f where f.tenant = k.tenant and f.id = k.finding and f.service = k.service and f.source = k.source))
        """;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 24)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Any_history_of_reports_and_changes_ends_as_the_documented_rules_say(int seed)
    {
        var random = new Random(seed);
        var tenant = $"model-{seed}";
        using var client = await host.OperatorAsync(tenant);
        var model = new DedupModel();
        for (var step = 0; step < 4; step++)
        {
            List<ModelResult> report = [.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => ModelResult.Random(random))];
            var scope = random.Next(3) == 0 ? ScanScope.Partial : ScanScope.Complete;
            var expected = model.Import(report, scope);

            var result = await client.ImportAsync("generic", Service, ModelResult.Report(report), $"&scope={scope}");

            Assert.Equal((report.Count, 0L), (result.Observations, result.Rejected));
            Assert.Equal((expected.New, expected.Matched, expected.Reopened), (result.New, result.Matched, result.Reopened));
            Assert.Equal(model.Signature, await host.ScalarAsync<string>(Signature, tenant));
            var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
            var again = await client.ImportAsync("generic", Service, ModelResult.Report(report), $"&scope={scope}");
            Assert.Equal((report.Count, 0L, 0L, 0L), (again.Matched, again.New, again.Reopened, again.FindingsChanged));
            Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
            await MoveOneAsync(client, model, random);
            Assert.Equal(model.Signature, await host.ScalarAsync<string>(Signature, tenant));
        }

        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
    }

    [Fact]
    public void In_the_random_worlds_findings_do_drift_and_some_do_not_for_being_ambiguous()
    {
        var (drifted, kept) = (0, 0);
        foreach (var seed in Enumerable.Range(1, 24))
        {
            var (random, model) = (new Random(seed), new DedupModel());
            for (var step = 0; step < 4; step++)
            {
                List<ModelResult> report = [.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => ModelResult.Random(random))];
                model.Import(report, random.Next(3) == 0 ? ScanScope.Partial : ScanScope.Complete);
            }

            drifted += model.Drifts;
            kept += model.Refusals;
        }

        Assert.InRange(drifted, 5, int.MaxValue);
        Assert.InRange(kept, 5, int.MaxValue);
    }

    [Theory]
    [InlineData(101)]
    [InlineData(102)]
    [InlineData(103)]
    [InlineData(104)]
    public async Task A_report_in_another_order_changes_nothing(int seed)
    {
        var random = new Random(seed);
        var tenant = $"order-{seed}";
        using var client = await host.OperatorAsync(tenant);
        // Results that only their position tells apart are numbered in report order; these all have a fingerprint.
        var report = Enumerable.Range(0, 12).Select(_ => ModelResult.Random(random) with { FirstPrint = random.Next(2) == 0 ? "A" : "B" })
            .Select(result => new ModelResult(result.Rule, result.Path, result.Snippet, result.Line, result.Title, result.Id, result.FirstPrint, result.SecondPrint, result.Severity)).ToArray();
        await client.ImportAsync("generic", Service, ModelResult.Report(report));
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);

        random.Shuffle(report);
        var again = await client.ImportAsync("generic", Service, ModelResult.Report(report));

        Assert.Equal((0L, 0L, 0L), (again.New, again.Reopened, again.FindingsChanged));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    [Theory]
    [InlineData(201)]
    [InlineData(202)]
    [InlineData(203)]
    public async Task Two_sources_with_two_parallel_imports_each_end_as_one_after_the_other(int seed)
    {
        var random = new Random(seed);
        var (parallel, sequential) = ($"parallel-{seed}", $"sequential-{seed}");
        using var together = await host.OperatorAsync(parallel);
        using var inTurn = await host.OperatorAsync(sequential);
        for (var round = 0; round < 2; round++)
        {
            var first = ModelResult.Report(Enumerable.Range(0, 10).Select(_ => ModelResult.Random(random)));
            var second = ModelResult.Report(Enumerable.Range(0, 10).Select(_ => ModelResult.Random(random)));
            (byte[] Report, string Source)[] imports = [(first, "one"), (second, "two"), (first, "one"), (second, "two")];
            foreach (var (report, source) in imports)
            {
                await inTurn.ImportAsync("generic", Service, report, $"&source={source}");
            }

            await Task.WhenAll(imports.Select(import => together.ImportAsync("generic", Service, import.Report, $"&source={import.Source}")));
        }

        Assert.Equal(await host.ScalarAsync<string>(Signature, sequential), await host.ScalarAsync<string>(Signature, parallel));
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, parallel));
    }

    [Fact]
    public async Task Changes_of_status_while_reports_are_merged_lose_and_double_nothing()
    {
        const string tenant = "storm";
        var random = new Random(301);
        using var client = await host.OperatorAsync(tenant);
        List<ModelResult> report = [.. Enumerable.Range(0, 10).Select(_ => ModelResult.Random(random))];
        await client.ImportAsync("generic", Service, ModelResult.Report(report));
        var findings = (await client.FindingsAsync("?limit=500")).Items;

        var imports = Enumerable.Range(0, 6).Select(i => client.ImportAsync(
            "generic", Service, ModelResult.Report(report.Select(result => result with { }).Concat([ModelResult.Random(new Random(i))]))));
        var moves = findings.Select(async finding =>
        {
            foreach (var step in (string[])["triaged", "fixed", "verified"])
            {
                object change = step == "verified" ? await client.AttachEvidenceAsync(finding.Id) : new { status = step, reason = "upgraded" };
                using var answer = await client.MoveAsync(finding.Id, change, "*");

                // Seen again meanwhile: it is open, or its evidence is from before it was fixed.
                Assert.True(answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.Conflict or HttpStatusCode.UnprocessableEntity, $"{answer.StatusCode}");
            }
        });
        var results = imports.ToArray();
        await Task.WhenAll([.. results, .. moves]);

        Assert.All(results, result => Assert.Equal(11, result.Result.Observations));
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
    }

    [Fact]
    public async Task Results_that_share_their_best_key_stay_one_finding_where_their_worse_keys_belong_to_two()
    {
        const string tenant = "torn";
        using var client = await host.OperatorAsync(tenant);
        ModelResult Of(string snippet, string? print) => new("R1", "a.cs", snippet, 1, "t", null, print, null, Severity.High);
        await client.ImportAsync("generic", Service, ModelResult.Report([Of("x()", null), Of("y()", null)]));
        var torn = ModelResult.Report([Of("x()", "A"), Of("y()", "A")]);
        await client.ImportAsync("generic", Service, torn);
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);

        await client.ImportAsync("generic", Service, torn);

        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    private static async Task MoveOneAsync(HttpClient client, DedupModel model, Random random)
    {
        var findings = (await client.FindingsAsync("?limit=500")).Items;
        var detail = await client.FindingAsync(findings[random.Next(findings.Count)].Id);
        (FindingStatus Status, object Change)? move = detail.Finding.Status switch
        {
            FindingStatus.Open => (FindingStatus.Triaged, new { status = "triaged" }),
            FindingStatus.Triaged => (FindingStatus.Fixed, new { status = "fixed", reason = "upgraded" }),
            FindingStatus.Fixed => (FindingStatus.Verified, await client.AttachEvidenceAsync(detail.Finding.Id)),
            _ => null,
        };
        if (move is not { } next)
        {
            return;
        }

        // Nearly all the way at once, so that the next report has something to open again.
        var status = next.Status;
        using var answer = await client.MoveAsync(detail.Finding.Id, next.Change, "*");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        if (status == FindingStatus.Triaged)
        {
            using var fix = await client.MoveAsync(detail.Finding.Id, new { status = "fixed", reason = "upgraded" }, "*");
            Assert.Equal(HttpStatusCode.OK, fix.StatusCode);
            status = FindingStatus.Fixed;
        }

        model.Move(detail, status);
    }
}
