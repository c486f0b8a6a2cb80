namespace Wave16.VulnCenter.Contracts;

/// <summary>How findings of a source are recognised: <c>GET /findings/dedup-rules/{source}</c>.</summary>
/// <param name="Version">1 is built in; the entity tag of <c>If-Match</c>, and the <c>ruleSet</c> of decisions.</param>
/// <param name="Keys">Best first.</param>
/// <param name="Default">The built-in keys.</param>
/// <param name="PendingServices">Services whose findings are still known by keys of an earlier version; their next import, or the job that is under way, brings them up.</param>
public sealed record DedupRules(
    string Source, int Version, IReadOnlyList<DedupKeyRule> Keys, IReadOnlyList<DedupKeyRule> Default, DateTimeOffset? At, string? Actor, int PendingServices);

/// <summary>One way to recognise a finding.</summary>
/// <param name="Name">Lower-case letters, digits and '-'.</param>
/// <param name="Kinds">Kinds of findings it applies to.</param>
/// <param name="Fields">In order; a name ending in '?' may be missing, where any other is missing there is no such key.</param>
/// <param name="Fallback">Counts only for results that have no key yet.</param>
public sealed record DedupKeyRule(string Name, IReadOnlyList<FindingKind> Kinds, IReadOnlyList<string> Fields, bool Fallback = false);

/// <summary>Body of <c>PUT /findings/dedup-rules/{source}</c>.</summary>
public sealed record DedupRulesChange(IReadOnlyList<DedupKeyRule> Keys);

/// <summary>A source with the version of its rules.</summary>
public sealed record DedupSource(string Source, int Version);

/// <summary>What a change of rules would do to the findings there are, or did.</summary>
/// <param name="Findings">Findings looked at: those of kinds whose keys would be others.</param>
/// <param name="Unknown">Findings of before identities were kept: they keep their keys.</param>
/// <param name="Splits">Findings that would no longer recognise all of their results.</param>
/// <param name="Merges">Best keys that several findings would have.</param>
/// <param name="SplitFindings">The first 100.</param>
/// <param name="MergedFindings">The first 100.</param>
public sealed record DedupPreview(
    string Source, int Version, long Findings, long Unknown, long Splits, long Merges, IReadOnlyList<SplitFinding> SplitFindings, IReadOnlyList<MergedFindings> MergedFindings);

/// <summary>A dry run of rules: <c>GET /findings/dedup-rules/trials/{id}</c>.</summary>
/// <param name="State"><c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Preview">Once it has succeeded.</param>
public sealed record DedupTrial(Guid Id, string State, DedupTrialProgress Progress, DedupPreview? Preview, string? Problem);

/// <param name="Findings">Of the source; 0 until they are counted.</param>
/// <param name="Done">Looked at so far; in the end fewer than there are, where findings of some kinds keep their keys.</param>
public sealed record DedupTrialProgress(long Findings, long Done);

/// <param name="Parts">The first one stays with the finding.</param>
public sealed record SplitFinding(Guid Finding, string Service, IReadOnlyList<SplitPart> Parts);

/// <param name="Observations">The first 100.</param>
/// <param name="Fields">Of the best key of one of them.</param>
public sealed record SplitPart(long Count, IReadOnlyList<Guid> Observations, string? KeyKind, IReadOnlyDictionary<string, string> Fields);

/// <param name="Findings">The first 100, in the order they were first seen: the first one would have the key.</param>
public sealed record MergedFindings(string Service, long Count, IReadOnlyList<Guid> Findings, string KeyKind, IReadOnlyDictionary<string, string> Fields);

/// <summary>Body of <c>POST /findings/{id}/unmerge</c>.</summary>
/// <param name="Observations">Those that are another problem; at least one must remain.</param>
/// <param name="Reason">1 to 2,000 characters.</param>
/// <param name="KeepStatus">The new finding has the status of the one it comes from; it is open otherwise.</param>
public sealed record UnmergeRequest(IReadOnlyList<Guid> Observations, string Reason, bool KeepStatus = false);

/// <summary>Two findings that were one, and never will be again.</summary>
/// <param name="Version">Of the finding they were split from.</param>
/// <param name="SeparatedBy">What tells results of the two apart from now on: <c>componentVersion</c>, <c>path</c>, <c>line</c> …; nothing, where they had no key in common.</param>
public sealed record Unmerged(Guid Finding, long Version, Guid NewFinding, IReadOnlyList<string> SeparatedBy);

/// <summary>Body of <c>POST /findings/unmerge</c>, 1 to 100 items.</summary>
public sealed record UnmergeBatch(IReadOnlyList<UnmergeItem> Items);

/// <param name="Version">The finding's version that this was decided on; null: whichever is current.</param>
public sealed record UnmergeItem(Guid Finding, IReadOnlyList<Guid> Observations, string Reason, bool KeepStatus = false, long? Version = null);

/// <summary>One answer an item, in their order.</summary>
public sealed record UnmergeBatchResult(IReadOnlyList<UnmergeItemResult> Items);

/// <param name="Result">Null when it was refused.</param>
/// <param name="Code">Why: <c>finding.inseparable</c>.</param>
public sealed record UnmergeItemResult(Guid Finding, Unmerged? Result, string? Code, string? Detail);

/// <summary>A finding that is never to be one with the finding that names it.</summary>
public sealed record NeverMerged(Guid Finding, DateTimeOffset At, string Actor, string Reason);

/// <summary>A finding whose key took in more than one problem should have.</summary>
/// <param name="Rules">Different rules among the results that the key took in, in one scan.</param>
/// <param name="Lines">Different places among them.</param>
/// <param name="Scan">The first that was noticed.</param>
public sealed record OverMerge(
    Guid Finding, string Service, string Source, string KeyKind, string Key, int Rules, int Lines, int Observations, Guid Scan, DateTimeOffset Since);

public sealed record OverMergePage(IReadOnlyList<OverMerge> Items, string? Next);

/// <summary>A decision with what it is about.</summary>
/// <param name="Finding">Null for a result that was rejected.</param>
/// <param name="Observation">Null where a decision about an observation of before was made again.</param>
public sealed record DecisionEntry(
    DateTimeOffset At, string? Service, string? Source, Guid Scan, string Pointer, Guid? Finding, Guid? Observation, Outcome Outcome, string Reason, int RuleSet,
    string? KeyKind, string? Key, IReadOnlyDictionary<string, string> Fields, IReadOnlyList<Guid> Candidates);

public sealed record DecisionPage(IReadOnlyList<DecisionEntry> Items, string? Next);
