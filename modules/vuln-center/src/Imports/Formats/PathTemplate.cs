namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// A URL path with ids replaced, so that <c>/orders/17</c> and <c>/orders/18</c> are one place: segments of digits, UUIDs
/// and hexadecimal words of 16 digits or more become <c>{id}</c>.
/// </summary>
internal static class PathTemplate
{
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

    static bool IsId(string segment) =>
        segment.Length > 0
        && (segment.All(char.IsAsciiDigit)
            || Guid.TryParse(segment, out _)
            || (segment.Length >= 16 && segment.All(char.IsAsciiHexDigit)));
}
