using System.Net;
using System.Security.Cryptography;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>Random small worlds in which reports come, rules change and findings are split, in any order: what must hold all the time; a tenant for each.</summary>
public sealed class SplitPropertyTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly FindingKind[] Sast = [FindingKind.Sast];

    private static readonly DedupKeyRule[][] Rules =
    [
        [new("sast", Sast, ["rule", "path", "code", "occurrence"]), Position],
        [new("fingerprint", Sast, ["rule", "fingerprint"]), new("sast", Sast, ["rule", "path", "code", "occurrence"]), Position],
        [new("tool-id", Sast, ["path", "fingerprint"]), Position],
        [new("code", Sast, ["rule", "code"]), new("fingerprint", Sast, ["rule", "path?", "fingerprint"]), Position],
    ];

    /// <summary>With "repeats", a report comes again as soon as the rules have changed, before any other.</summary>
    public static TheoryData<int, bool> Seeds
    {
        get
        {
            var seeds = new TheoryData<int, bool>();
            foreach (var seed in (int[])[.. Enumerable.Range(1, 8), 25, 61, 83])
            {
                seeds.Add(seed, false);
                seeds.Add(seed, true);
            }

            return seeds;
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Whatever_is_split_and_however_rules_change_the_same_report_changes_nothing_and_what_was_split_stays_apart(int seed, bool repeats)
    {
        var random = new Random(seed);
        var tenant = $"splits-{seed}-{repeats}";
        using var client = await host.OperatorAsync(tenant);
        List<(Guid Finding, Guid Other, string Stayed, string Left)> apart = [];
        for (var step = 0; step < 5; step++)
        {
            List<ModelResult> report = [.. Enumerable.Range(0, random.Next(2, 9)).Select(_ => ModelResult.Random(random))];
            var scope = random.Next(2) == 0 ? "&scope=complete" : "";
            var first = await client.ImportAsync("generic", Service, ModelResult.Report(report), scope);
            Assert.Equal((report.Count, report.Count), (first.Observations, first.New + first.Matched + first.Reopened));
            await AssertRepeatsAsync(client, tenant, report, scope);
            await SplitOneAsync(client, random, apart);
            await AssertRepeatsAsync(client, tenant, report, scope, once: true);
            if (random.Next(2) == 0)
            {
                var keys = random.Next(4) == 0
                    ? (await client.GetAsync<DedupRules>("/findings/dedup-rules/model")).Default
                    : Rules[random.Next(Rules.Length)];
                var shown = await client.SendAsync(ModelResult.Report(report), scope);
                using var before = await client.PutRulesAsync(new DedupRulesChange(keys), query: "?dryRun=true", source: "model");
                var preview = await before.ReadAsync<DedupPreview>();
                using var changed = await client.PutRulesAsync(new DedupRulesChange(keys), source: "model");
                using var dry = await client.PutRulesAsync(new DedupRulesChange(keys), query: "?dryRun=true", source: "model");
                Assert.Equal((HttpStatusCode.OK, 0), (changed.StatusCode, (await changed.ReadAsync<DedupRules>()).PendingServices));
                Assert.Equal(0L, (await dry.ReadAsync<DedupPreview>()).Findings);
                if (repeats)
                {
                    await AssertForeseenAsync(client, preview, report, shown.Items ?? [], scope);
                    await AssertRepeatsAsync(client, tenant, report, scope, once: true);
                }
            }

            foreach (var (finding, other, stayed, left) in apart)
            {
                foreach (var id in (Guid[])[finding, other])
                {
                    var hashes = (await client.FindingAsync(id)).Observations.Select(o => o.PayloadHash).ToHashSet(StringComparer.Ordinal);
                    Assert.False(hashes.Contains(stayed) && hashes.Contains(left), $"{id} holds both {stayed} and {left}.");
                }
            }
        }

        Assert.Equal(0L, await host.ScalarAsync<long>(UnmergeTests.Broken, tenant));
    }

    [Fact]
    public async Task In_the_random_worlds_findings_are_split()
    {
        using var client = await host.OperatorAsync("splits-count");
        var random = new Random(1);
        List<(Guid, Guid, string, string)> apart = [];
        for (var step = 0; step < 6; step++)
        {
            await client.ImportAsync("generic", $"service-{step}", ModelResult.Report(Enumerable.Range(0, 8).Select(_ => ModelResult.Random(random) with { FirstPrint = "A" })
                .Select(r => new ModelResult(r.Rule, r.Path, r.Snippet, r.Line, r.Title, r.Id, r.FirstPrint, r.SecondPrint, r.Severity))));
            await SplitOneAsync(client, random, apart);
        }

        Assert.InRange(apart.Count, 3, int.MaxValue);
    }

    /// <summary>
    /// The report that was last shown, again under other rules: what the dry run did not list as split off or as recognised elsewhere is
    /// recognised where it was, and what it listed as split off is not what it was split from.
    /// </summary>
    private static async Task AssertForeseenAsync(HttpClient client, DedupPreview preview, List<ModelResult> report, IReadOnlyList<ImportedItem> shown, string scope)
    {
        HashSet<(Guid Finding, string Payload)> released = [];
        foreach (var split in preview.SplitFindings)
        {
            var leaving = split.Parts.Skip(1).SelectMany(part => part.Observations).ToHashSet();
            released.UnionWith((await client.FindingAsync(split.Finding)).Observations.Where(o => leaving.Contains(o.Id)).Select(o => (split.Finding, o.PayloadHash)));
        }

        var merged = preview.MergedFindings.SelectMany(merge => merge.Findings).ToHashSet();
        var again = await client.SendAsync(ModelResult.Report(report), scope);
        Assert.Equal(report.Count, shown.Count);
        Assert.True(preview.Splits > 0 || again.New == 0, $"{again.New} new, where no split was foreseen.");
        foreach (var ((result, before), after) in report.Zip(shown).Zip(again.Items ?? []))
        {
            var finding = before.Finding ?? default;
            var isReleased = released.Contains((finding, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(result.Json)))));
            Assert.True(after.Outcome != Outcome.New || isReleased, $"{result} of {finding} is new.");
            Assert.True(after.Finding == finding || isReleased || merged.Contains(finding), $"{result} of {finding} is {after.Finding}.");
        }
    }

    // With "once", the import may bring what a split took from a finding (its words), but no finding and no status.
    private async Task AssertRepeatsAsync(HttpClient client, string tenant, List<ModelResult> report, string scope, bool once = false)
    {
        if (once)
        {
            var settled = await client.ImportAsync("generic", Service, ModelResult.Report(report), scope);
            Assert.Equal((0L, 0L), (settled.New, settled.Reopened));
        }

        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        await AssertAgainAsync(client, report, scope);
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    private static async Task AssertAgainAsync(HttpClient client, List<ModelResult> report, string scope)
    {
        var again = await client.ImportAsync("generic", Service, ModelResult.Report(report), scope);
        Assert.Equal((report.Count, 0L, 0L, 0L), (again.Matched, again.New, again.Reopened, again.FindingsChanged));
    }

    private static async Task SplitOneAsync(HttpClient client, Random random, List<(Guid Finding, Guid Other, string Stayed, string Left)> apart)
    {
        foreach (var finding in (await client.FindingsAsync("?limit=500")).Items.OrderBy(item => item.FirstSeen).ThenBy(item => item.Id))
        {
            var observations = (await client.FindingAsync(finding.Id)).Observations;
            var hashes = observations.Select(o => o.PayloadHash).Distinct().Order(StringComparer.Ordinal).ToList();
            if (hashes.Count < 2)
            {
                continue;
            }

            var leaving = hashes[random.Next(hashes.Count)];
            using var answer = await client.PostUnmergeAsync(
                finding.Id, new UnmergeRequest([.. observations.Where(o => o.PayloadHash == leaving).Select(o => o.Id)], "another problem"));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            var unmerged = await answer.ReadAsync<Unmerged>();
            apart.AddRange(hashes.Where(hash => hash != leaving).Select(hash => (finding.Id, unmerged.NewFinding, hash, leaving)));
            return;
        }
    }
}
