using System.Net;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Findings;
using Wave16.VulnCenter.Tests.Groups;
using Wave16.VulnCenter.Tests.Imports;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>
/// A tenant to which steps happen, and beside it in memory what its findings have to be then. The model does not say which finding
/// recognises a result that was never shown; of everything else it knows the outcome.
/// </summary>
internal sealed class History(VulnCenterHost host, HttpClient client, string tenant)
{
    /// <summary>Versions without a line in the history, findings without an audit leaf or an observation.</summary>
    private const string Broken = """
        select count(*) from vuln_center.finding f where f.tenant = $1 and (
          f.version <> (select count(*) from vuln_center.transition t where t.tenant = f.tenant and t.finding = f.id)
          or not exists (select from vuln_center.observation o where o.tenant = f.tenant and o.finding = f.id)
          or not exists (select from platform.audit_leaf a where a.tenant = f.tenant and a.hash = f.audit_hash))
        """;

    private const string Observed = """
        select coalesce(string_agg(line, E'\n' order by line collate "C"), '') from (
          select distinct finding || ' ' || encode(payload_hash, 'hex') as line from vuln_center.observation where tenant = $1) observed
        """;

    private const string Grouped = """
        select coalesce(string_agg(line, E'\n' order by line collate "C"), '') from (
          select string_agg(m.finding::text, ' ' order by m.finding) as line from vuln_center.group_member m where m.tenant = $1 group by m.grouped) groups
        """;

    private sealed class Known(string source)
    {
        public string Source { get; } = source;

        public FindingStatus Status { get; set; } = FindingStatus.Open;

        public bool Suppressed { get; set; }

        public HashSet<string> Payloads { get; } = [];

        /// <summary>What it was shown as, but for what changes.</summary>
        public HashSet<(string Package, string Rule, string Folder)> Looks { get; } = [];

        /// <summary>As it was shown after the step before.</summary>
        public string Path { get; set; } = "";
    }

    private readonly Dictionary<Guid, Known> _findings = [];
    private readonly List<(Guid Finding, Guid Other, string Stayed, string Left)> _apart = [];
    private readonly GroupModel _groups = new();

    /// <summary>Sources whose rules were ever changed.</summary>
    private readonly HashSet<string> _changed = [];

    /// <summary>Results that were shown under the rules in force, and the finding they belong to.</summary>
    private readonly Dictionary<(string Source, string Payload), Guid> _recognised = [];

    /// <summary>The last report of each source.</summary>
    private readonly Dictionary<string, HistoryStep.Report> _last = [];

    /// <summary>How often each kind of step did something.</summary>
    public Dictionary<string, int> Done { get; } = [];

    public async Task ApplyAsync(HistoryStep step)
    {
        var happened = step switch
        {
            HistoryStep.Report report => await ReportAsync(report),
            HistoryStep.Unmerge unmerge => await UnmergeAsync(unmerge),
            HistoryStep.ChangeRules change => await ChangeRulesAsync(change),
            HistoryStep.Split split => await SplitAsync(split),
            HistoryStep.Link link => await LinkAsync(link),
            HistoryStep.Join join => await JoinAsync(HistoryStep.Ids[join.A], HistoryStep.Ids[join.B]),
            HistoryStep.Cut cut => await CutAsync(HistoryStep.Ids[cut.A], HistoryStep.Ids[cut.B]),
            HistoryStep.Suppress suppress => await SuppressAsync(suppress),
            _ => throw new ArgumentException($"No such step: {step}.", nameof(step)),
        };
        if (happened)
        {
            Done[step.GetType().Name] = Done.GetValueOrDefault(step.GetType().Name) + 1;
            await AssertAsync();
        }
    }

    private async Task<bool> ReportAsync(HistoryStep.Report report)
    {
        var source = HistoryStep.Sources[report.Source];
        var result = await PostAsync(report);
        var items = result.Items ?? [];

        Assert.Equal((report.Results.Count, 0L), (result.Observations, result.Rejected));
        Assert.Equal(result.Observations, result.New + result.Matched + result.Reopened);
        Assert.Equal(report.Results.Count, items.Count);
        long created = 0, reopened = 0, closed = 0;
        HashSet<Guid> shown = [];
        foreach (var (raw, item) in report.Results.Zip(items))
        {
            var finding = item.Finding ?? throw new InvalidOperationException("Rejected.");
            if (_recognised.TryGetValue((source, raw.Payload), out var before))
            {
                Assert.True(before == finding, $"{raw} was {before} and is {finding} now, although the rules are the same.");
            }

            _recognised[(source, raw.Payload)] = finding;
            if (!_findings.TryGetValue(finding, out var known))
            {
                _findings[finding] = known = new Known(source);
                created++;
            }

            Assert.Equal(source, known.Source);
            known.Payloads.Add(raw.Payload);
            known.Looks.Add(raw.Looks);
            if (shown.Add(finding) && known.Status == FindingStatus.Fixed)
            {
                known.Status = FindingStatus.Open;
                reopened++;
            }
        }

        foreach (var (id, gone) in _findings.Where(known => report.IsComplete && !shown.Contains(known.Key) && known.Value.Source == source && known.Value.Status == FindingStatus.Open
            && (report.Folder is null || known.Value.Path.StartsWith($"{report.Folder}/", StringComparison.Ordinal))))
        {
            // Other rules may have given its keys to another finding: then it is still there while the report shows what it was seen as.
            var mayBeAnothers = _changed.Contains(source) && report.Results.Any(raw => gone.Looks.Contains(raw.Looks));
            if (!mayBeAnothers || (await client.FindingAsync(id)).Finding.Status == FindingStatus.Fixed)
            {
                gone.Status = FindingStatus.Fixed;
                closed++;
            }
        }

        Assert.Equal((created, reopened, closed), (result.New, result.Reopened, result.FindingsFixed));
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        var again = await PostAsync(report);
        Assert.Equal((report.Results.Count, 0L, 0L, 0L, 0L), (again.Matched, again.New, again.Reopened, again.FindingsChanged, again.FindingsFixed));
        Assert.True(state == await host.ScalarAsync<string>(ImportTests.State, tenant), "The same report again changed something.");
        _last[source] = report;
        return true;
    }

    private async Task<ImportResult> PostAsync(HistoryStep.Report report)
    {
        using var body = new StringContent(
            $"{{\"schemaVersion\":\"1\",\"source\":\"{HistoryStep.Sources[report.Source]}\",\"findings\":[{string.Join(',', report.Results.Select(result => result.Json))}]}}",
            Encoding.UTF8, "application/json");
        using var answer = await client.PostAsync(
            new Uri($"/findings?service={Service}&wait=60{(report.IsComplete ? "&scope=complete" : "")}{(report.Folder is { } folder ? $"&scopeFilter=path:{folder}" : "")}", UriKind.Relative),
            body, TestContext.Current.CancellationToken);
        var import = await answer.ReadAsync<Import>();
        return import.Result ?? throw new InvalidOperationException($"The import {import.State}.");
    }

    private async Task<bool> UnmergeAsync(HistoryStep.Unmerge step)
    {
        var mixed = _findings.Where(known => known.Value.Payloads.Count > 1).OrderBy(known => known.Key).ToList();
        if (mixed.Count == 0)
        {
            return false;
        }

        var (id, finding) = mixed[step.Finding % mixed.Count];
        var leaving = finding.Payloads.Order(StringComparer.Ordinal).ElementAt(step.Observation % finding.Payloads.Count);
        var observations = (await client.FindingAsync(id)).Observations.Where(observation => observation.PayloadHash == leaving).Select(observation => observation.Id).ToList();
        using var answer = await client.PostUnmergeAsync(id, new UnmergeRequest(observations, "another problem", KeepStatus: true));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var split = (await answer.ReadAsync<Unmerged>()).NewFinding;
        Assert.DoesNotContain(split, _findings.Keys);
        finding.Payloads.Remove(leaving);
        _findings[split] = new Known(finding.Source) { Status = finding.Status, Payloads = { leaving } };
        _findings[split].Looks.UnionWith(finding.Looks);
        _apart.AddRange(finding.Payloads.Select(stayed => (id, split, stayed, leaving)));
        _groups.Separate(id, split);
        if (_recognised.TryGetValue((finding.Source, leaving), out var holder) && holder == id)
        {
            _recognised[(finding.Source, leaving)] = split;
        }

        // Every other one is told at once whether the reports keep to it.
        return step.Observation % 2 != 0 || !_last.TryGetValue(finding.Source, out var report) || await ReportAsync(report);
    }

    private async Task<bool> ChangeRulesAsync(HistoryStep.ChangeRules step)
    {
        var source = HistoryStep.Sources[step.Source];
        var current = await client.GetAsync<DedupRules>($"/findings/dedup-rules/{source}");
        var change = new DedupRulesChange(HistoryStep.RuleSets[step.Rules] is { Length: > 0 } keys ? keys : current.Default);
        using var dry = await client.PutRulesAsync(change, query: "?dryRun=true", source: source);
        using var answer = await client.PutRulesAsync(change, source: source);
        var changed = await answer.ReadAsync<DedupRules>();
        Assert.Equal((HttpStatusCode.OK, 0), (answer.StatusCode, changed.PendingServices));
        if (changed.Version == current.Version)
        {
            return false;
        }

        _changed.Add(source);
        foreach (var shown in _recognised.Keys.Where(shown => shown.Source == source).ToList())
        {
            _recognised.Remove(shown);
        }

        if ((await dry.ReadAsync<DedupPreview>()).Splits > 0 || !_last.TryGetValue(source, out var report))
        {
            return true;
        }

        var before = _findings.Count;
        await ReportAsync(report);
        Assert.True(before == _findings.Count, "A split that the dry run did not foresee.");
        return true;
    }

    private async Task<bool> SplitAsync(HistoryStep.Split step)
    {
        if (await client.GroupsAsync() is not { Count: > 0 } groups)
        {
            return false;
        }

        var group = groups.OrderBy(each => each.Id).ElementAt(step.Group % groups.Count);
        var members = group.Findings().ToList();
        var taken = members[step.Member % members.Count];
        using var answer = await client.SplitAsync(group.Id, "another problem", taken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        _groups.Split(members, taken);
        return true;
    }

    private async Task<bool> LinkAsync(HistoryStep.Link step)
    {
        if (_findings.Count == 0)
        {
            return false;
        }

        var ids = _findings.Keys.Order().ToList();
        var (a, b) = (ids[step.A % ids.Count], ids[step.B % ids.Count]);
        if (_findings[a].Source == _findings[b].Source)
        {
            return false;
        }

        using var answer = await client.LinkAsync("the same problem", a, b);
        if (answer.StatusCode == HttpStatusCode.OK)
        {
            _groups.Link(a, b);
            return true;
        }

        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        return false;
    }

    private async Task<bool> JoinAsync(string a, string b)
    {
        if (a == b)
        {
            return false;
        }

        await client.FeedAsync("aliases", $$"""{"aliases":[{"a":"{{a}}","b":"{{b}}"}]}""", "&source=s&force=true");
        _groups.Join(a, b);
        return true;
    }

    private async Task<bool> CutAsync(string a, string b)
    {
        if (!_groups.HasEdge(a, b))
        {
            return false;
        }

        await client.RemoveEdgeAsync(a, b);
        _groups.Cut(a, b);
        return true;
    }

    private async Task<bool> SuppressAsync(HistoryStep.Suppress step)
    {
        if (_findings.Count == 0)
        {
            return false;
        }

        var (id, finding) = _findings.OrderBy(known => known.Key).ElementAt(step.Finding % _findings.Count);
        using var answer = finding.Suppressed
            ? await client.DeleteAsync(id, "suppression?reason=over")
            : await client.PutAsync(id, "suppression", new SuppressionChange(SuppressionKind.RiskAccepted, "accepted", DateTimeOffset.UtcNow.AddDays(30)));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        finding.Suppressed = !finding.Suppressed;
        return true;
    }

    private async Task AssertAsync()
    {
        var listed = (await client.FindingsAsync("?limit=500")).Items;
        Assert.Equal(_findings.Keys.Order(), listed.Select(item => item.Id).Order());
        foreach (var item in listed)
        {
            var known = _findings[item.Id];
            Assert.Equal((item.Id, known.Source, known.Status, known.Suppressed), (item.Id, item.Source, item.Status, item.Suppression is not null));
            Assert.Equal((item.Id, item is { Severity: Severity.Critical, Status: FindingStatus.Open, Suppression: null }), (item.Id, item.Gate));
            known.Path = item.Location?.Path ?? "";
            _groups.Report(item.Id, item.Source, new Vulnerable(item.Rule, item.Component?.Name ?? "", [.. item.Identifiers]));
        }

        Assert.Equal(
            string.Join('\n', _findings.SelectMany(known => known.Value.Payloads.Select(payload => $"{known.Key} {payload}")).Order(StringComparer.Ordinal)),
            await host.ScalarAsync<string>(Observed, tenant));
        foreach (var (finding, other, stayed, left) in _apart)
        {
            foreach (var id in (Guid[])[finding, other])
            {
                Assert.False(_findings[id].Payloads.Contains(stayed) && _findings[id].Payloads.Contains(left), $"{id} holds {stayed} and {left}, which were told apart.");
            }
        }

        Assert.Equal(string.Join('\n', _groups.Groups()), await host.ScalarAsync<string>(Grouped, tenant));
        var summary = await client.GetAsync<FindingSummary>("/findings/summary");
        var live = _findings.Values.Where(known => known.Status == FindingStatus.Open).ToList();
        Assert.Equal((live.Count(known => !known.Suppressed), live.Count(known => known.Suppressed)), ((int)summary.Open, (int)summary.Suppressed));
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
    }
}
