using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>Which series an expression names: not a parser, but enough for expressions that a parser (promtool) has accepted.</summary>
internal static partial class PromQl
{
    private static readonly HashSet<string> Words = new(["and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"], StringComparer.Ordinal);

    public static IReadOnlySet<string> Series(string expression)
    {
        // A dashboard's variable: label_values(metric, label).
        var text = LabelValues().Replace(expression, "${metric}");
        text = Quoted().Replace(text, "");
        text = Braces().Replace(text, " ");
        text = Ranges().Replace(text, " ");
        text = LabelLists().Replace(text, " ");
        return Identifier().Matches(text).Select(match => match.Value).Where(name => !Words.Contains(name)).ToHashSet(StringComparer.Ordinal);
    }

    [GeneratedRegex(@"label_values\((?<metric>[a-z_:0-9]+), *\w+\)", RegexOptions.ExplicitCapture)]
    private static partial Regex LabelValues();

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Braces();

    [GeneratedRegex(@"\[[^\]]*\]")]
    private static partial Regex Ranges();

    [GeneratedRegex(@"\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)", RegexOptions.ExplicitCapture)]
    private static partial Regex LabelLists();

    // A name with a parenthesis behind it is a function.
    [GeneratedRegex(@"(?<![\w:])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()")]
    private static partial Regex Identifier();
}
