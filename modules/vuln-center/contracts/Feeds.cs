namespace Wave16.VulnCenter.Contracts;

/// <summary>A tenant's copy of a feed: <c>GET /findings/feeds/{name}</c>.</summary>
/// <param name="Name"><c>epss</c>, <c>kev</c> or <c>aliases</c>.</param>
/// <param name="Version">Counts changes; the entity tag.</param>
/// <param name="AsOf">What the feed says of itself: EPSS's <c>score_date</c>, the catalog's <c>dateReleased</c>, the latest <c>modified</c>.</param>
/// <param name="Entries">CVEs, or alias edges.</param>
/// <param name="Digest">SHA-256 of what was sent last, decompressed; 64 lower-case hexadecimal digits.</param>
/// <param name="By">Who sent it.</param>
/// <param name="Settled">All findings agree with it.</param>
/// <param name="Update">The latest update, for <c>GET /findings/feeds/updates/{id}</c>.</param>
public sealed record Feed(string Name, long Version, string? AsOf, long Entries, string Digest, DateTimeOffset At, string By, bool Settled, Guid? Update);

/// <summary>All feeds that have been sent.</summary>
public sealed record FeedList(IReadOnlyList<Feed> Items);

/// <summary>What a change of a feed does to the findings: <c>GET /findings/feeds/updates/{id}</c>.</summary>
/// <param name="Id">Null when there was nothing to do.</param>
/// <param name="State"><c>unchanged</c>, <c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Version">The feed's.</param>
/// <param name="Ignored">Advisories of the aliases feed that state no alias: withdrawn ones, and bulletins that bundle several CVEs.</param>
/// <param name="Unjoined">Edges of aliases that are kept and join nothing: with what was stated beside them they would make a cluster of more ids than there may be.</param>
public sealed record FeedUpdate(
    Guid? Id, string Feed, long Version, string State, long Added, long Changed, long Removed, long Ignored, FeedProgress Progress, string? Problem, long Unjoined = 0);

/// <param name="Findings">To be looked at; 0 until they are counted.</param>
/// <param name="Done">Looked at.</param>
/// <param name="Changed">Whose EPSS or KEV changed.</param>
/// <param name="Groups">Groups that came, went or changed.</param>
public sealed record FeedProgress(long Findings, long Done, long Changed, long Groups);

/// <summary>Two ids of one problem, as a source said.</summary>
/// <param name="Since">When the source says so since, or when it said so first.</param>
/// <param name="Joined">False where the cluster would be too large: the edge counts for nothing then.</param>
public sealed record AliasEdge(string A, string B, string Source, DateTimeOffset Since, bool Joined = true);

/// <summary>The edges around an id: <c>GET /findings/feeds/aliases/edges</c>.</summary>
/// <param name="Cluster">All ids that the edges join, the asked one among them.</param>
public sealed record AliasEdges(string Id, IReadOnlyList<string> Cluster, IReadOnlyList<AliasEdge> Edges);
