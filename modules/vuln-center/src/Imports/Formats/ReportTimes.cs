using System.Globalization;
using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Times as reports state them. One without an offset could be hours off in either direction, and decides what is closed: it
/// is none. Before 2000 nothing was scanned that is imported here; tools write such times where they know none.
/// </summary>
internal static partial class ReportTimes
{
    static readonly DateTimeOffset Earliest = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>RFC 3339 with an offset; also <c>+0200</c>, as Java writes it.</summary>
    public static DateTimeOffset? Of(string? text)
    {
        var stated = text?.Trim();
        if (stated is { Length: < 64 } && JavaOffset().IsMatch(stated))
            stated = $"{stated[..^2]}:{stated[^2..]}";
        return Rfc3339Time.TryParse(stated, out var time) ? Plausible(time.Value) : null;
    }

    /// <summary>In a field whose name or specification says that it is UTC.</summary>
    public static DateTimeOffset? OfUtc(string? text) => Of(text) ?? Of($"{text?.Trim()}Z");

    /// <summary>Seconds since 1970.</summary>
    public static DateTimeOffset? OfEpoch(string? text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds < 253_402_300_800
            ? Plausible(DateTimeOffset.FromUnixTimeSeconds(seconds))
            : null;

    /// <summary><c>Mon Nov 03 09:30:12 UTC 2025</c> (java.util.Date). Names of other zones are not unique: CST is three of them.</summary>
    public static DateTimeOffset? OfJavaDate(string? text) =>
        text?.Trim().Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var month, var day, var time, "UTC" or "GMT", var year]
        && DateTimeOffset.TryParseExact(
            $"{month} {day} {time} {year}", "MMM d HH:mm:ss yyyy", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var stated)
            ? Plausible(stated)
            : null;

    static DateTimeOffset? Plausible(DateTimeOffset time) => time >= Earliest ? time : null;

    [GeneratedRegex(@"\A[0-9T:.-]+[+-][0-9]{4}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex JavaOffset();
}
