using System.ComponentModel.DataAnnotations;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>Configuration section <c>VulnCenter</c>.</summary>
internal sealed class ArtifactOptions
{
    /// <summary>Largest artifact, in bytes.</summary>
    [Range(1, 1L << 30)]
    public long MaxArtifactBytes { get; set; } = 25L << 20;

    /// <summary>Bytes of content that one tenant's artifacts may have together; the same content counts once.</summary>
    [Range(1, 1L << 50)]
    public long MaxTenantArtifactBytes { get; set; } = 10L << 30;

    /// <summary>Uploads on their way at the same time, half of them one tenant's at most; more are told to come later.</summary>
    [Range(2, 1_000)]
    public int ConcurrentUploads { get; set; } = 32;
}
