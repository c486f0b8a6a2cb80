using System.Text.Json;

namespace Wave16.VulnCenter.Policies;

/// <summary>A service's environmental metrics by CVSS version, as its row keeps them.</summary>
internal static class CvssEnvironments
{
    public static IReadOnlyDictionary<string, string>? Read(string? stored) =>
        stored is null ? null : JsonSerializer.Deserialize(stored, VulnCenterJson.Default.DictionaryStringString);

    public static string? Write(IReadOnlyDictionary<string, string>? metrics) => metrics is not { Count: > 0 }
        ? null
        : JsonSerializer.Serialize(new Dictionary<string, string>(metrics, StringComparer.Ordinal), VulnCenterJson.Default.DictionaryStringString);
}
