using System.ComponentModel.DataAnnotations;

namespace Wave16.VulnCenter.Summary;

/// <summary>Configuration section <c>VulnCenter:Backlog</c>.</summary>
internal sealed class BacklogOptions
{
    /// <summary>Time between two counts of the backlog for the metrics, in seconds.</summary>
    [Range(1, 86_400)]
    public int RefreshSeconds { get; set; } = 60;
}
