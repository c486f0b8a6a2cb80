namespace Wave16.VulnCenter.Contracts;

/// <summary>Findings of one service, from two sources at least, that are one problem. They stay findings: a group changes no member.</summary>
/// <param name="Id">Stays while the group keeps most of its members.</param>
/// <param name="Version">Counts changes of its membership.</param>
/// <param name="Severity">The highest of its open and triaged members; null when there is none.</param>
/// <param name="Manual">Somebody linked members of it.</param>
/// <param name="Why">What joins them.</param>
public sealed record FindingGroup(
    Guid Id, long Version, string Service, Severity? Severity, bool Manual, IReadOnlyList<GroupMember> Members, IReadOnlyList<GroupReason> Why);

public sealed record GroupMember(
    Guid Finding, string Source, string Rule, string Title, Severity Severity, FindingStatus Status, bool Suppressed, string? Component,
    IReadOnlyList<string> Identifiers);

/// <summary>Why findings are in one group.</summary>
/// <param name="Kind"><c>identifier</c>: they name the same id; <c>alias</c>: they name ids that edges join; <c>manual</c>: somebody said so.</param>
/// <param name="Component">The component they share, canonical; null for <c>manual</c>.</param>
/// <param name="Identifiers">The ids that join them.</param>
/// <param name="Edges">For <c>alias</c>, at most 100.</param>
/// <param name="Reason">For <c>manual</c>, with <paramref name="Actor"/> and <paramref name="At"/>.</param>
public sealed record GroupReason(
    string Kind, IReadOnlyList<Guid> Findings, string? Component, IReadOnlyList<string> Identifiers, IReadOnlyList<AliasEdge> Edges,
    string? Reason = null, string? Actor = null, DateTimeOffset? At = null);

/// <summary>A page of <c>GET /findings/groups</c>.</summary>
/// <param name="Next">Cursor of the next page; null on the last one.</param>
public sealed record GroupPage(IReadOnlyList<FindingGroup> Items, string? Next);

/// <summary>Body of <c>POST /findings/groups</c>: one link (<paramref name="Findings"/>, <paramref name="Reason"/>) or many (<paramref name="Groups"/>).</summary>
public sealed record GroupLinks(IReadOnlyList<Guid>? Findings = null, string? Reason = null, IReadOnlyList<GroupLink>? Groups = null);

/// <param name="Findings">2 to 50, of one service and two sources at least.</param>
/// <param name="Reason">1 to 2,000 characters.</param>
public sealed record GroupLink(IReadOnlyList<Guid> Findings, string Reason);

/// <summary>Body of <c>POST /findings/groups/{id}/split</c>.</summary>
/// <param name="Findings">Members to take out. They and the members that stay are never grouped again; all members: no two of them are.</param>
/// <param name="Reason">1 to 2,000 characters.</param>
public sealed record GroupSplit(IReadOnlyList<Guid> Findings, string Reason);

/// <summary>Body of <c>POST /findings/groups/split</c>.</summary>
public sealed record GroupSplits(IReadOnlyList<GroupSplitOf> Splits);

/// <param name="Group">The group to take the findings out of.</param>
public sealed record GroupSplitOf(Guid Group, IReadOnlyList<Guid> Findings, string Reason);

/// <summary>The groups that findings named in a request are in afterwards.</summary>
public sealed record GroupsChanged(IReadOnlyList<FindingGroup> Groups);
