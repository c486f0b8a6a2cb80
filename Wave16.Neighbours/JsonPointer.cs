using System.Globalization;
using System.Text;

namespace Wave16.Neighbours;

/// <summary>JSON pointers (RFC 6901) in their URI fragment form, as RFC 9457 shows them.</summary>
internal static class JsonPointer
{
    public static string Of(params ReadOnlySpan<object> steps)
    {
        var pointer = new StringBuilder("#");
        foreach (var step in steps)
        {
            var text = Convert.ToString(step, CultureInfo.InvariantCulture) ?? "";
            pointer.Append('/').Append(Uri.EscapeDataString(text.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)));
        }
        return pointer.ToString();
    }

    /// <summary>From the path a <see cref="System.Text.Json.JsonException"/> carries: <c>$.graph.nodes['a b'].label</c>, <c>$[3]</c>.</summary>
    public static string OfPath(string? path)
    {
        var rest = path.AsSpan().TrimStart('$');
        var steps = new List<object>();
        while (!rest.IsEmpty)
        {
            if (rest.StartsWith("['") && rest.IndexOf("']") is > 0 and var end)
            {
                steps.Add(rest[2..end].ToString());
                rest = rest[(end + 2)..];
                continue;
            }
            var opening = rest[0];
            var length = rest[1..].IndexOfAny(opening == '[' ? "]" : ".[");
            steps.Add((length < 0 ? rest[1..] : rest[1..(length + 1)]).ToString());
            rest = length < 0 ? [] : rest[(length + (opening == '[' ? 2 : 1))..];
        }
        return Of([.. steps]);
    }
}
