using System.Globalization;
using System.Text.RegularExpressions;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Feeds;

/// <summary>What feeds name, in the spelling that findings have it in.</summary>
internal static partial class FeedValues
{
    public static string Cve(string? text, string pointer) =>
        Identifiers.Advisory(text) is { Kind: "cve", Value: var cve } ? cve : throw new FeedException(pointer, "has no CVE id, as in CVE-2024-3094");

    /// <summary>An advisory id of any database, upper-case; null when it is none.</summary>
    public static string? AdvisoryId(string? text) => text?.Trim() is { } id && AnyAdvisory().IsMatch(id) ? id.ToUpperInvariant() : null;

    /// <summary>A date or a time; without an offset it is UTC, as the feeds say.</summary>
    public static DateTimeOffset? Moment(string? text) => DateTimeOffset.TryParse(
        text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var moment) ? moment : null;

    [GeneratedRegex(@"\A(?=[^-]*-)[A-Za-z0-9][A-Za-z0-9._:-]{3,127}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex AnyAdvisory();
}
