using System.ComponentModel.DataAnnotations;

namespace Wave16.VulnCenter.Imports;

/// <summary>Configuration section <c>VulnCenter</c>.</summary>
internal sealed class ImportOptions
{
    /// <summary>Where clients reach this API; part of the links that other systems are given.</summary>
    [Required]
    public Uri PublicUrl { get; set; } = new("http://localhost:5016/");

    /// <summary>Directory for reports while they are read; the system's temporary one unless given.</summary>
    [Required]
    public string SpoolDirectory { get; set; } = Path.GetTempPath();

    /// <summary>Largest report, decompressed, in bytes.</summary>
    [Range(1 << 10, 1L << 40)]
    public long MaxReportBytes { get; set; } = 1L << 30;

    /// <summary>How long an import is waited for before the answer is 202, in seconds.</summary>
    [Range(0, 120)]
    public int WaitSeconds { get; set; } = 20;

    /// <summary>Reports read at the same time. Sixteen times as many may be on their way, half of them one tenant's; more are told to come later.</summary>
    [Range(1, 64)]
    public int ConcurrentReports { get; set; } = 4;

    /// <summary>From how many different rules on a key that took in several results of one scan is listed as an over-merge.</summary>
    [Range(2, 1_000_000)]
    public int OverMergedRules { get; set; } = 2;

    /// <summary>The same, for different places (file and line).</summary>
    [Range(2, 1_000_000)]
    public int OverMergedLines { get; set; } = 10;

    /// <summary>Base64 of 32 or more bytes from which each tenant's key for hashing secrets is derived. Required outside Development.</summary>
    public string? SecretKey { get; set; }
}
