using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Dedup;
using Wave16.VulnCenter.Tests.Groups;

namespace Wave16.VulnCenter.Tests;

public sealed class ClientTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly Dictionary<string, string> Trivy = new(StringComparer.Ordinal) { ["format"] = "trivy", ["service"] = "shop api&co" };

    [Fact]
    public async Task The_client_sets_findings_aside_rates_and_assigns_them_and_changes_what_they_are_judged_by()
    {
        using var http = await host.OperatorAsync("client-life");
        var client = new VulnCenterClient(http);
        var cancellation = TestContext.Current.CancellationToken;
        await using var report = File.OpenRead(VulnCenterCalls.Fixture("trivy-shop-api.json"));
        await ImportAsync(client, report);
        var page = await client.ListAsync(new Dictionary<string, string> { ["limit"] = "3" }, cancellation);
        var id = page.Items[0].Id;

        await client.SuppressAsync(id, 1, new SuppressionChange(SuppressionKind.RiskAccepted, "until the release", DateTimeOffset.UtcNow.AddDays(9)), cancellation);
        await client.LiftSuppressionAsync(id, 2, "released & done", cancellation);
        await client.OverrideSeverityAsync(id, 3, new SeverityChange(Severity.Low, "test code"), cancellation);
        await client.RestoreSeverityAsync(id, 4, "it ships", cancellation);
        var assigned = await client.AssignAsync(id, 5, new AssigneeChange("team-shop"), cancellation);
        Assert.Equal(("team-shop", 6L, "released & done"), (assigned.Finding.Assignee, assigned.Finding.Version, assigned.History.Single(step => step.Change == "finding.suppression-lifted").Reason));

        var triaged = await client.ChangeStatusesAsync(new BulkStatusChange([.. page.Items.Select(finding => new BulkItem(finding.Id))], FindingStatus.Triaged), cancellation: cancellation);
        var aside = await client.SuppressAsync(
            new BulkSuppressionChange([new BulkItem(page.Items[1].Id)], SuppressionKind.FalsePositive, "not ours", DateTimeOffset.UtcNow.AddDays(1)), cancellation: cancellation);
        Assert.Equal((3, 0, 1), (triaged.Done, triaged.Refused, aside.Done));

        var sla = await client.PutSlaPoliciesAsync((await client.GetSlaPoliciesAsync(cancellation)).Version, new SlaPolicies("cisa-bod"), cancellation);
        await client.PutGatePolicyAsync((await client.GetGatePolicyAsync(cancellation)).Version, GatePolicy.Default with { Epss = 0.9 }, cancellation);
        var service = await client.PutServiceAsync("shop api&co", 0, new ServiceProfile("gold"), cancellation);
        Assert.Equal(("gold", 1L), ((await client.GetServiceAsync("shop api&co", cancellation)).Profile.Tier, service.Version));
        Assert.Equal("SLA policy 1", (await client.GetRecomputationAsync(sla.Recomputation?.Id ?? Guid.Empty, cancellation)).Why ?? "SLA policy 1");
        var stale = await Assert.ThrowsAsync<VulnCenterException>(() => client.AssignAsync(id, 1, new AssigneeChange(null), cancellation));
        Assert.Equal(HttpStatusCode.PreconditionFailed, stale.Status);
    }

    [Fact]
    public async Task The_client_imports_a_report_moves_its_worst_finding_through_its_life_and_imports_it_again()
    {
        using var http = await host.OperatorAsync("client");
        var client = new VulnCenterClient(http);
        var cancellation = TestContext.Current.CancellationToken;
        await using var report = File.OpenRead(VulnCenterCalls.Fixture("trivy-shop-api.json"));
        var first = await ImportAsync(client, report);
        Assert.True(first.New > 0);

        var page = await client.ListAsync(new Dictionary<string, string> { ["service"] = "shop api&co", ["limit"] = "5" }, cancellation);
        var worst = page.Items[0];
        Assert.Equal(("shop api&co", FindingStatus.Open, 1L), (worst.Service, worst.Status, worst.Version));
        var reference = await client.AttachAsync(worst.Id, new ArtifactReference(new string('A', 64), "https://evidence.test/scan.log", "text/plain"), cancellation: cancellation);
        var version = reference.Version;
        foreach (var change in (StatusChange[])[new(FindingStatus.Triaged), new(FindingStatus.Fixed, "upgraded")])
        {
            await MoveAsync(change);
        }

        using MemoryStream log = new("it is gone"u8.ToArray());
        version = (await client.AttachAsync(worst.Id, log, "scan.log", "text/plain", cancellation: cancellation)).Version;
        await MoveAsync(new StatusChange(FindingStatus.Verified, Evidence: new Evidence(Sha256: Convert.ToHexStringLower(SHA256.HashData("it is gone"u8)))));

        report.Position = 0;
        var second = await ImportAsync(client, report, DateTimeOffset.UtcNow);

        Assert.Equal((0L, 1L, 1L), (second.New, second.Reopened, second.FindingsChanged));
        var reopened = await client.GetAsync(worst.Id, cancellation);
        Assert.Equal((FindingStatus.Open, true), (reopened.Finding.Status, reopened.Finding.Regression));

        async Task MoveAsync(StatusChange change)
        {
            var moved = await client.ChangeStatusAsync(worst.Id, version, change, cancellation: cancellation);
            Assert.Equal((change.Status, version + 1), (moved.Finding.Status, moved.Finding.Version));
            version = moved.Finding.Version;
        }
    }

    [Fact]
    public async Task The_client_sends_feeds_and_links_and_splits_findings()
    {
        using var http = await host.OperatorAsync("client-groups");
        var client = new VulnCenterClient(http);
        var cancellation = TestContext.Current.CancellationToken;
        var trivy = await http.ReportAsync("shop-api", "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        var pentest = await http.ReportAsync("shop-api", "pentest", new Vulnerable("RT-7", "lodash"));
        using var epss = new MemoryStream(Encoding.UTF8.GetBytes(GroupCalls.Epss("2026-01-02", ("CVE-2026-0001", 0.5))));

        var update = await client.WaitAsync(await client.PutFeedAsync("epss", epss, cancellation: cancellation), cancellation);
        var linked = await client.LinkAsync([new GroupLink([trivy[0], pentest[0]], "shown by the exploit")], cancellation: cancellation);
        var group = Assert.Single((await client.ListGroupsAsync(new Dictionary<string, string> { ["service"] = "shop-api" }, cancellation)).Items);
        var split = await client.SplitAsync([new GroupSplitOf(group.Id, [pentest[0]], "it was another hole")], cancellation: cancellation);
        var gone = await Assert.ThrowsAsync<VulnCenterException>(() => client.GetGroupAsync(group.Id, cancellation));

        Assert.Equal(("succeeded", 1L), (update.State, update.Progress.Changed));
        Assert.Equal(group.Id, Assert.Single(linked.Groups).Id);
        Assert.Empty(split.Groups);
        Assert.Equal(HttpStatusCode.NotFound, gone.Status);
        Assert.Equal("epss", Assert.Single((await client.ListFeedsAsync(cancellation)).Items).Name);
    }

    [Fact]
    public async Task The_client_splits_a_finding_and_changes_the_rules_it_is_recognised_by()
    {
        using var http = await host.OperatorAsync("client-dedup");
        var client = new VulnCenterClient(http);
        var cancellation = TestContext.Current.CancellationToken;
        await http.ImportAsync("generic", "shop-api", DedupCalls.Report(DedupCalls.Sca("1.0.0"), DedupCalls.Sca("2.0.0")));
        var finding = await client.GetAsync(Assert.Single((await client.ListAsync(new Dictionary<string, string>(), cancellation)).Items).Id, cancellation);
        var leaving = finding.Observations.Single(o => o.Identity?.ComponentVersion == "2.0.0").Id;

        var unmerged = await client.UnmergeAsync(finding.Finding.Id, finding.Finding.Version, new UnmergeRequest([leaving], "two problems"), cancellation: cancellation);
        var rules = await client.GetDedupRulesAsync(DedupCalls.Source, cancellation);
        var change = new DedupRulesChange([new DedupKeyRule("package", [FindingKind.Sca], ["rule", "component"]), DedupCalls.Position]);
        var preview = await client.TryDedupRulesAsync(DedupCalls.Source, rules.Version, change, cancellation);
        var changed = await client.ChangeDedupRulesAsync(DedupCalls.Source, rules.Version, change, cancellation);

        Assert.Equal((2L, 0L, 0L), (preview.Findings, preview.Splits, preview.Merges));
        Assert.Equal((2, "package"), (changed.Version, changed.Keys[0].Name));
        Assert.Equal(
            [Outcome.Unmerged], (await client.DecisionsAsync(new Dictionary<string, string> { ["finding"] = $"{unmerged.NewFinding}" }, cancellation)).Items.Select(entry => entry.Outcome));
        Assert.Empty((await client.OverMergesAsync(new Dictionary<string, string> { ["service"] = "shop-api" }, cancellation)).Items);
    }

    [Fact]
    public async Task What_is_refused_has_its_status_and_its_code()
    {
        using var http = await host.OperatorAsync("client-refused");
        var client = new VulnCenterClient(http);
        using var broken = new MemoryStream(Encoding.UTF8.GetBytes("{\"SchemaVersion\":2,"));
        var unreadable = await Assert.ThrowsAsync<VulnCenterException>(() => client.ImportAsync(Trivy, broken, cancellation: TestContext.Current.CancellationToken));
        var missing = await Assert.ThrowsAsync<VulnCenterException>(() => client.GetAsync(Guid.Empty, TestContext.Current.CancellationToken));
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "import.report-unreadable"), (unreadable.Status, unreadable.Code));
        Assert.Equal(HttpStatusCode.NotFound, missing.Status);
    }

    private static async Task<ImportResult> ImportAsync(VulnCenterClient client, Stream report, DateTimeOffset? scanned = null)
    {
        Dictionary<string, string> parameters = new(Trivy);
        if (scanned is { } at)
        {
            parameters["scannedAt"] = at.ToString("O", CultureInfo.InvariantCulture);
        }

        var import = await client.WaitAsync(
            await client.ImportAsync(parameters, report, cancellation: TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        Assert.Equal("succeeded", import.State);
        return import.Result ?? throw new InvalidOperationException("No result.");
    }
}
