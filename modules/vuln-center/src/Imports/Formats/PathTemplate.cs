using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// A URL path with ids replaced, so that <c>/orders/17</c> and <c>/orders/18</c> are one place: segments of digits, UUIDs
/// and hexadecimal words of 16 digits or more become <c>{id}</c>.
/// </summary>
internal static class PathTemplate
{
    static readonly string[] Qualifiers = ["final", "release", "snapshot", "ga", "sp", "rc", "alpha", "beta", "pre", "post", "dev", "jre", "android"];

    public static string Of(string path)
    {
        var segments = path.Split('/');
        for (var i = 0; i < segments.Length; i++)
        {
            if (IsId(segments[i]))
                segments[i] = "{id}";
        }
        return string.Join('/', segments);
    }

    /// <summary>A file's path with dotted numbers and what qualifies them replaced: <c>app-{version}.jar</c> for <c>app-1.2.3.RELEASE.jar</c>.</summary>
    public static string WithoutVersions(string path)
    {
        var text = new StringBuilder(path.Length);
        for (var i = 0; i < path.Length;)
        {
            var end = VersionEnd(path, i);
            if (end == i)
            {
                text.Append(path[i++]);
                continue;
            }
            text.Append("{version}");
            i = end;
        }
        return text.ToString();
    }

    // Where the version ends that begins here: two numbers or more, joined by dots, with their qualifiers.
    static int VersionEnd(string path, int start)
    {
        if (!char.IsAsciiDigit(path[start]) || (start > 0 && path[start - 1] is >= '0' and <= '9' or '.'))
            return start;
        var (end, numbers) = (start, 0);
        for (var i = start; i < path.Length && char.IsAsciiDigit(path[i]); i++)
        {
            while (i < path.Length && char.IsAsciiDigit(path[i]))
                i++;
            (end, numbers) = (i, numbers + 1);
            if (i >= path.Length || path[i] != '.')
                break;
        }
        if (numbers < 2)
            return start;
        while (end < path.Length && path[end] is '.' or '-' or '+')
        {
            var qualifier = Array.Find(Qualifiers, word => path.AsSpan(end + 1).StartsWith(word, StringComparison.OrdinalIgnoreCase));
            if (qualifier is null)
                break;
            end += 1 + qualifier.Length;
            while (end < path.Length && char.IsAsciiDigit(path[end]))
                end++;
        }
        return end;
    }

    static bool IsId(string segment) =>
        segment.Length > 0
        && (segment.All(char.IsAsciiDigit)
            || Guid.TryParse(segment, out _)
            || (segment.Length >= 16 && segment.All(char.IsAsciiHexDigit)));
}
