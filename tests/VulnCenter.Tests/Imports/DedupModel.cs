using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>A raw result of static analysis in the normalized schema, of a small world in which things coincide often.</summary>
internal sealed record ModelResult(string Rule, string Path, string? Snippet, int Line, string Title, string? Id, string? FirstPrint, string? SecondPrint, Severity Severity)
{
    public string Json { get; } = string.Concat(
        "{", $"\"kind\":\"sast\",\"rule\":\"{Rule}\",\"title\":\"{Title}\",\"severity\":\"{Severity.ToString().ToLowerInvariant()}\"",
        Id is null ? "" : $",\"id\":\"{Id}\"",
        $",\"location\":{{\"path\":\"{Path}\",\"startLine\":{Line}{(Snippet is null ? "" : $",\"snippet\":\"{Snippet}\"")}}}",
        $",\"fingerprints\":{{{string.Join(',', Prints(FirstPrint, SecondPrint))}}}",
        "}");

    public static ModelResult Random(Random random) => new(
        Pick(random, "R1", "R2"), Pick(random, "a.cs", "a.cs", "b.cs", "lib/a.cs"), Pick(random, null, "x()", "x()", "y()"), random.Next(1, 4), Pick(random, "t", "u"),
        Pick(random, null, null, null, "7"), Pick(random, null, "A", "B"), Pick(random, null, null, "X", "Y"),
        Pick(random, Severity.Low, Severity.High, Severity.Critical));

    public static byte[] Report(IEnumerable<ModelResult> results) =>
        Encoding.UTF8.GetBytes($"{{\"schemaVersion\":\"1\",\"source\":\"model\",\"findings\":[{string.Join(',', results.Select(result => result.Json))}]}}");

    /// <summary>Made of the line, so that two different values do not contradict a drift.</summary>
    public const string LineHash = "primaryLocationLineHash";

    /// <summary>Only to break ties as the import does: of equally severe results a finding looks like the one with the least content hash.</summary>
    public string ContentHash => Convert.ToHexString(StagedResult.Of("", "", 0, new GenericFormat().ReadAsync(
        new MemoryStream(Report([this])), Reports.Context, TestContext.Current.CancellationToken).ToBlockingEnumerable(TestContext.Current.CancellationToken).OfType<ReportItem.Observed>().Single().Observation, SourceRules.Default("")).ContentHash);

    public string BaseName => Path[(Path.LastIndexOf('/') + 1)..];

    public string Directory => Path[..(Path.LastIndexOf('/') + 1)];

    private static IEnumerable<string> Prints(string? first, string? second)
    {
        if (first is not null)
        {
            yield return $"\"one\":\"{first}\"";
        }

        if (second is not null)
        {
            yield return $"\"{LineHash}\":\"{second}\"";
        }
    }

    private static T Pick<T>(Random random, params T[] values) => values[random.Next(values.Length)];
}

/// <summary>The documented rules of recognition, in memory, one result at a time: what the import's SQL has to agree with.</summary>
internal sealed class DedupModel
{
    private sealed class ModelFinding
    {
        public HashSet<string> Kinds { get; } = [];

        public HashSet<string> Observations { get; } = [];

        public FindingStatus Status { get; set; } = FindingStatus.Open;

        public Severity Severity { get; set; }

        public bool Regression { get; set; }

        /// <summary>The result it looks like.</summary>
        public ModelResult? Face { get; set; }

        /// <summary>Number of the last scan that showed it.</summary>
        public int SeenIn { get; set; }
    }

    /// <param name="Content">The key without its path; null when nothing else tells two results of a rule apart.</param>
    /// <param name="Family">The key without its number; null when it has none.</param>
    private sealed record Key(string Kind, string Value, string? Content, string? Family = null, int Number = 0);

    private sealed record Row(ModelResult Result, IReadOnlyList<Key> Keys)
    {
        public ModelFinding? Matched { get; set; }

        /// <summary>Place of the deciding key, from 0.</summary>
        public int? Place { get; set; }
    }

    private readonly Dictionary<Key, ModelFinding> _keys = [];
    private readonly List<ModelFinding> _findings = [];
    private int _scans;
    private int _lastComplete;

    /// <summary>One line for each finding: status, severity, whether it is a regression, and its observations by payload hash.</summary>
    public string Signature => string.Join('\n', _findings
        .Select(f => $"{(int)f.Status} {(int)f.Severity} {(f.Regression ? 't' : 'f')} {string.Join(',', f.Observations.Order(StringComparer.Ordinal))}")
        .Order(StringComparer.Ordinal));

    /// <summary>Findings that were recognised by the drift pass.</summary>
    public int Drifts { get; private set; }

    /// <summary>Results that had something in common with a vanished finding and are new all the same.</summary>
    public int Refusals { get; private set; }

    /// <summary>Moves the finding that has this status, severity and payload hashes.</summary>
    public void Move(FindingDetail moved, FindingStatus status)
    {
        var hashes = moved.Observations.Select(observation => observation.PayloadHash).Order(StringComparer.Ordinal).ToList();
        var finding = _findings.First(f => f.Status == moved.Finding.Status && f.Severity == moved.Finding.Severity
            && f.Observations.Select(observation => observation[..64]).Order(StringComparer.Ordinal).SequenceEqual(hashes));
        finding.Status = status;
        finding.Regression = finding.Regression && status != FindingStatus.Verified;
    }

    /// <summary>Raw results that made a finding, that were recognised, and findings that opened again.</summary>
    public (long New, long Matched, long Reopened) Import(IReadOnlyList<ModelResult> report, ScanScope scope = ScanScope.Partial)
    {
        var rows = Numbered(Keyed(report));
        foreach (var row in rows)
        {
            for (var place = 0; place < row.Keys.Count && row.Matched is null; place++)
            {
                if (_keys.GetValueOrDefault(row.Keys[place]) is { } known && !row.Keys.Take(place).Any(better => known.Kinds.Contains(better.Kind)))
                {
                    (row.Matched, row.Place) = (known, place);
                }
            }
        }

        Dictionary<(ModelFinding, string Kind), Key> shown = [];
        foreach (var row in rows.Where(row => row is { Matched: not null, Place: > 0 }))
        {
            var better = row.Keys.Take(row.Place ?? 0).DistinctBy(key => key.Kind).ToList();
            var matched = row.Matched ?? throw new InvalidOperationException("Filtered.");
            better.ForEach(key => shown.TryAdd((matched, key.Kind), key));
            if (better.Exists(key => shown[(matched, key.Kind)] != key))
            {
                (row.Matched, row.Place) = (null, null);
            }
        }

        long created = 0, reopened = 0;
        List<(Row Row, ModelFinding Target)> learning = [];
        List<(Row Row, ModelFinding Target)> targets = [];
        var groups = rows.GroupBy(row => row.Keys[0])
            .Select(group => (Rows: group.ToList(), Known: group.Where(row => row.Matched is not null).OrderBy(row => row.Place).Select(row => row.Matched).FirstOrDefault())).ToList();
        var drifted = Drifted(rows, [.. groups.Where(group => group.Known is null).Select(group => Face(group.Rows))], [.. groups.Select(group => group.Known).OfType<ModelFinding>()], scope);
        foreach (var (group, found) in groups)
        {
            var known = found ?? drifted.GetValueOrDefault(Face(group));
            var target = known ?? new ModelFinding();
            if (known is null)
            {
                _findings.Add(target);
                created++;
            }

            foreach (var row in group)
            {
                targets.Add((row, target));
                if (row.Matched != target || row.Place != 0)
                {
                    learning.Add((row, target));
                }
            }
        }

        foreach (var (key, target) in learning
            .OrderBy(learned => rows.IndexOf(learned.Row))
            .SelectMany(learned => learned.Row.Keys.Select((key, place) => (key, place, learned.Target)))
            .OrderBy(learned => learned.place).Select(learned => (learned.key, learned.Target)))
        {
            if (_keys.TryAdd(key, target))
            {
                target.Kinds.Add(key.Kind);
            }
        }

        _scans++;
        _lastComplete = scope == ScanScope.Complete ? _scans : _lastComplete;
        foreach (var seen in targets.GroupBy(target => target.Target))
        {
            seen.Key.SeenIn = _scans;
            seen.Key.Face = Face([.. seen.Select(target => target.Row)]).Result;
            seen.Key.Severity = seen.Max(target => target.Row.Result.Severity);
            if (seen.Key.Status is FindingStatus.Fixed or FindingStatus.Verified)
            {
                (seen.Key.Status, seen.Key.Regression) = (FindingStatus.Open, true);
                reopened++;
            }

            foreach (var same in seen.GroupBy(target => target.Row.Result.Json))
            {
                var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(same.Key)));
                seen.Key.Observations.UnionWith(Enumerable.Range(1, same.Count()).Select(n => string.Create(CultureInfo.InvariantCulture, $"{hash}:{n}")));
            }
        }

        if (scope == ScanScope.Complete)
        {
            foreach (var gone in _findings.Except(targets.Select(target => target.Target)).Where(f => f.Status is FindingStatus.Open or FindingStatus.Triaged))
            {
                gone.Status = FindingStatus.Fixed;
            }
        }

        return (created, report.Count - created - reopened, reopened);
    }

    private static Row Face(IReadOnlyList<Row> rows) => rows.OrderByDescending(row => row.Result.Severity).ThenBy(row => row.Result.ContentHash, StringComparer.Ordinal).First();

    /// <summary>docs/dedup.md, "Drift", pair by pair; the findings have forgotten their keys afterwards.</summary>
    private Dictionary<Row, ModelFinding> Drifted(List<Row> rows, List<Row> strangers, HashSet<ModelFinding> shown, ScanScope scope)
    {
        var before = scope == ScanScope.Complete && _lastComplete > 0 ? _lastComplete : _scans;
        var gone = _findings.Where(f => f.SeenIn >= before && !shown.Contains(f) && f.Status is (FindingStatus.Open or FindingStatus.Triaged)).ToList();
        var pairs = (from stranger in strangers from finding in gone where Clues(stranger).Intersect(Clues(finding)).Any() select (stranger, finding)).ToList();
        var open = _findings.Where(f => f.Status is FindingStatus.Open or FindingStatus.Triaged).Select(f => f.Face?.Path).ToHashSet();
        Dictionary<Row, ModelFinding> drifted = new(ReferenceEqualityComparer.Instance);
        foreach (var (stranger, finding) in pairs.Where(pair => pairs.Count(other => other.stranger == pair.stranger) == 1 && pairs.Count(other => other.finding == pair.finding) == 1))
        {
            var (now, then) = (stranger.Result, finding.Face ?? throw new InvalidOperationException("A finding looks like something."));
            var moved = now.Path != then.Path;
            var stands = moved
                ? scope == ScanScope.Complete && !rows.Exists(row => row.Result.Path == then.Path) && !open.Contains(now.Path)
                : scope == ScanScope.Complete || now.Line == then.Line;
            if (stands && !stranger.Keys.Any(key => Contradicts(key, KeysOf(finding), moved)))
            {
                drifted.Add(stranger, finding);
            }
        }

        Drifts += drifted.Count;
        Refusals += pairs.Select(pair => pair.stranger).Distinct().Count() - drifted.Count;
        foreach (var finding in drifted.Values)
        {
            KeysOf(finding).ForEach(key => _keys.Remove(key));
            finding.Kinds.Clear();
        }

        return drifted;
    }

    private static bool Contradicts(Key key, List<Key> known, bool moved) => key.Kind != $"fingerprint:{ModelResult.LineHash}"
        && (moved || key.Kind is not ("sast" or "position"))
        && known.Exists(other => other.Kind == key.Kind && (other.Content is not null || key.Kind is not ("sast" or "position")))
        && !known.Exists(other => other.Kind == key.Kind && other.Content is not null && other.Content == key.Content);

    private List<Key> KeysOf(ModelFinding finding) => [.. _keys.Where(known => known.Value == finding).Select(known => known.Key)];

    private static IEnumerable<string> Clues(Row row) => Clues(row.Result, row.Keys);

    private IEnumerable<string> Clues(ModelFinding finding) => Clues(finding.Face ?? throw new InvalidOperationException("A finding looks like something."), KeysOf(finding));

    private static IEnumerable<string> Clues(ModelResult result, IReadOnlyList<Key> keys)
    {
        var contents = keys.Select(key => key.Content).OfType<string>().ToList();
        return contents.SelectMany(content => (string[])[$"moved|{result.Rule}|{result.BaseName}|{content}", $"renamed|{result.Rule}|{result.Directory}|{content}"])
            .Append($"lines|{result.Rule}|{result.Path}")
            .Concat(contents.Count > 0 ? [] : [$"line|{result.Rule}|{result.BaseName}|{result.Line}"]);
    }

    /// <summary>docs/dedup.md, "Equal places": only the pairing itself is the import's own.</summary>
    private List<Row> Numbered(List<Row> rows)
    {
        foreach (var family in rows.SelectMany(row => row.Keys).Select(key => key.Family).OfType<string>().Distinct().ToList())
        {
            var held = _keys.Where(known => known.Key.Family == family).OrderBy(known => known.Key.Number).Select(known => new HeldPlace<ModelFinding>(
                known.Value, known.Key.Value, known.Key.Number, PlaceOf(known.Value.Face, known.Value.Status is FindingStatus.Open or FindingStatus.Triaged))).ToList();
            var shown = rows.Where(row => row.Keys.Any(key => key.Family == family)).DistinctBy(row => row.Keys.First(key => key.Family == family)).OrderBy(row => NumberOf(row, family)).ToList();
            var numbers = Numbering.Renumber(held, [.. shown.Select(row => new ShownPlace<ModelFinding>(
                row.Keys.First(key => key.Family == family).Value, NumberOf(row, family), PlaceOf(row.Result, isLive: true),
                row.Keys.TakeWhile(key => key.Family != family).Select(key => _keys.GetValueOrDefault(key)).FirstOrDefault(known => known is not null)))]);
            var changed = shown.Zip(numbers).ToDictionary(pair => NumberOf(pair.First, family), pair => pair.Second);
            rows = [.. rows.Select(row => row.Keys.Any(key => key.Family == family) ? new Row(row.Result, KeysOf(row.Result, changed[NumberOf(row, family)])) : row)];
        }

        return rows;
    }

    private static int NumberOf(Row row, string family) => row.Keys.First(key => key.Family == family).Number;

    private static Place PlaceOf(ModelResult? result, bool isLive) =>
        new(result?.Line, Label: Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{result?.Title}||"))), IsLive: isLive);

    private static List<Row> Keyed(IReadOnlyList<ModelResult> report)
    {
        Dictionary<string, List<string>> places = [];
        List<Row> rows = [];
        foreach (var result in report)
        {
            var group = $"{result.Snippet}|{result.Rule}|{result.Path}";
            var position = $"{result.Line}|{result.Title}";
            if (!places.TryGetValue(group, out var positions))
            {
                places[group] = positions = [];
            }

            if (!positions.Contains(position))
            {
                positions.Add(position);
            }

            rows.Add(new Row(result, KeysOf(result, positions.IndexOf(position))));
        }

        return rows;
    }

    private static List<Key> KeysOf(ModelResult result, int occurrence)
    {
        var group = $"{result.Snippet}|{result.Rule}|{result.Path}";
        List<Key> keys = [];
        foreach (var (algorithm, value) in ((string, string?)[])[("id", result.Id), ("one", result.FirstPrint), (ModelResult.LineHash, result.SecondPrint)])
        {
            if (value is not null)
            {
                keys.Add(new Key($"fingerprint:{algorithm}", $"{result.Rule}|{result.Path}|{value}", $"{algorithm}|{result.Rule}|{value}"));
            }
        }

        if (result.Snippet is not null)
        {
            keys.Add(new Key("sast", $"{group}|{occurrence}", $"sast|{result.Snippet}|{result.Rule}|{occurrence}", $"sast|{group}", occurrence));
        }

        return keys.Count > 0 ? keys : [new Key("position", $"{group}|{occurrence}", null, $"position|{group}", occurrence)];
    }
}
