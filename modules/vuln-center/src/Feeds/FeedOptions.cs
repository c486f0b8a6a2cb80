using System.ComponentModel.DataAnnotations;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Configuration section <c>VulnCenter</c>.</summary>
internal sealed class FeedOptions
{
    /// <summary>Most ids of one cluster of aliases. A flaw has a handful of names; a cluster of hundreds is somebody's mistake, and would make one problem of many.</summary>
    [Range(2, 100_000)]
    public int MaxAliasCluster { get; set; } = 100;
}
