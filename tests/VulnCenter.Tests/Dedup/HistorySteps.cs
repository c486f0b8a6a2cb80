using System.Security.Cryptography;
using System.Text;
using CsCheck;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>A raw result of a vulnerable component, of a small world in which ids, components, versions and places coincide often.</summary>
internal sealed record HistoryResult(string Package, string Rule, string? Alias, string Version, string Folder, Severity Severity, bool HasId)
{
    private string Path => $"{Folder}/package-lock.json";

    public string Json => string.Concat(
        "{", HasId ? "\"id\":\"x\"," : "", $"\"kind\":\"sca\",\"rule\":\"{Rule}\",\"title\":\"{Rule} in {Package}\",\"severity\":\"{Severity.ToString().ToLowerInvariant()}\"",
        $",\"identifiers\":[\"{Rule}\"{(Alias is null || Alias == Rule ? "" : $",\"{Alias}\"")}]",
        $",\"component\":{{\"name\":\"{Package}\",\"version\":\"{Version}\",\"purl\":\"pkg:npm/{Package}@{Version}\"}},\"manifest\":\"{Path}\",\"location\":{{\"path\":\"{Path}\"}}", "}");

    public (string Package, string Rule, string Folder) Looks => (Package, Rule, Folder);

    public string Payload => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Json)));
}

/// <summary>Something that happens to the findings of one service. Numbers name what is there at that time, modulo how much there is: so any part of a history is a history.</summary>
internal abstract record HistoryStep
{
    public static readonly string[] Sources = ["a", "b"];
    public static readonly string[] Ids = ["CVE-2026-0001", "CVE-2026-0002", "GHSA-CCCC-CCCC-CCC1"];

    public static readonly DedupKeyRule[][] RuleSets =
    [
        [],
        [new("package", [FindingKind.Sca], ["rule", "component"]), DedupCalls.Position],
        [new("tool-id", [FindingKind.Sca], ["rule", "fingerprint"]), new("manifest", [FindingKind.Sca], ["rule", "place"]), DedupCalls.Position],
        [new("sca", [FindingKind.Sca], ["component", "rule", "place"]), DedupCalls.Position],
    ];

    private static readonly Gen<int> AnyNumber = Gen.Int[0, 1_000];

    private static readonly Gen<HistoryResult> AnyResult = Gen.Select(
        Of("p", "p", "q"), Of(Ids), Of<string?>(null, null, Ids[0], Ids[2]), Of("1.0.0", "2.0.0", "3.0.0"), Of("web", "api"),
        Of(Severity.High, Severity.Critical), Of(false, false, true),
        (package, rule, alias, version, folder, severity, hasId) => new HistoryResult(package, rule, alias, version, folder, severity, hasId));

    public static readonly Gen<HistoryStep> All = Gen.Frequency(
        (6, Gen.Select(Gen.Int[0, 1], AnyResult.List[1, 4], Gen.Int[0, 5], (source, results, scope) => (HistoryStep)new Report(source, [.. results], scope))),
        (4, Gen.Select(AnyNumber, AnyNumber, (finding, observation) => (HistoryStep)new Unmerge(finding, observation))),
        (1, Gen.Select(Gen.Int[0, 1], Gen.Int[0, 3], (source, rules) => (HistoryStep)new ChangeRules(source, rules))),
        (2, Gen.Select(AnyNumber, AnyNumber, (group, member) => (HistoryStep)new Split(group, member))),
        (1, Gen.Select(AnyNumber, AnyNumber, (a, b) => (HistoryStep)new Link(a, b))),
        (2, Gen.Select(Gen.Int[0, 2], Gen.Int[0, 2], (a, b) => (HistoryStep)new Join(a, b))),
        (1, Gen.Select(Gen.Int[0, 2], Gen.Int[0, 2], (a, b) => (HistoryStep)new Cut(a, b))),
        (1, AnyNumber.Select(finding => (HistoryStep)new Suppress(finding))));

    private static Gen<T> Of<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    /// <param name="Scope">0: complete; 1, 2: complete within a folder; otherwise partial.</param>
    public sealed record Report(int Source, IReadOnlyList<HistoryResult> Results, int Scope) : HistoryStep
    {
        public string? Folder => Scope switch { 1 => "web", 2 => "api", _ => null };

        public bool IsComplete => Scope <= 2;

        public override string ToString() => $"Report {Sources[Source]} scope {Scope}: {string.Join(", ", Results.Select(result => $"{result.Package}@{result.Version} {result.Rule}/{result.Alias} {result.Folder} {result.Severity}{(result.HasId ? " id" : "")}"))}";
    }

    public sealed record Unmerge(int Finding, int Observation) : HistoryStep;

    public sealed record ChangeRules(int Source, int Rules) : HistoryStep;

    public sealed record Split(int Group, int Member) : HistoryStep;

    public sealed record Link(int A, int B) : HistoryStep;

    public sealed record Join(int A, int B) : HistoryStep;

    public sealed record Cut(int A, int B) : HistoryStep;

    public sealed record Suppress(int Finding) : HistoryStep;
}
