using System.Globalization;
using System.Text;

namespace Wave16.VulnCenter.Imports;

/// <summary>Names of services and sources. Two that look the same are the same: part of every finding's identity.</summary>
internal static class Names
{
    public const int MaxLength = 200;

    public const string Must = "must be 1 to 200 characters, without control characters and those that nobody sees";

    /// <summary>A name without the space around it; null where it is none.</summary>
    public static string? Of(string given) => given.Trim() is { Length: > 0 and <= MaxLength } name && name.EnumerateRunes().All(IsSeen) ? name : null;

    /// <summary>A source: lower-case words joined by '-', so that <c>Red Team</c>, <c>red_team</c> and <c>Red-Team</c> are one; null where nothing is left.</summary>
    public static string? SourceOf(string given) =>
        string.Join('-', string.Concat(given.EnumerateRunes().Where(IsSeen)).ToLowerInvariant().Split([' ', '_', '/'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)) is
        { Length: > 0 } name ? name : null;

    /// <summary>A name as a path's segment gives it: ASP.NET Core decodes all of it but %2F.</summary>
    public static string InPath(string segment) => segment.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase).Trim();

    private static bool IsSeen(Rune rune) => Rune.GetUnicodeCategory(rune) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned);
}
