using System.Globalization;
using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Infrastructure;

/// <param name="Type">With its version; empty for a module.</param>
/// <param name="Objects">By path: the empty path is the declaration's own object, <c>properties.rules[0]</c> the first item of a list.</param>
internal sealed record BicepDeclaration(string Symbol, string Type, bool Existing, IReadOnlyDictionary<string, HashSet<string>> Objects);

/// <summary>
/// As much of Bicep as the files under infra/azure are written in: one member on a line, brackets where the formatter puts them. The
/// compiler needs no more to be right about names of members, and it is not to be had everywhere.
/// </summary>
internal sealed partial class Bicep
{
    private Bicep(string text)
    {
        Parameters = Parameter().Matches(text).ToDictionary(match => match.Groups["name"].Value, match => match.Groups["default"].Success, StringComparer.Ordinal);
        Declarations = [.. Declaration().Matches(text).Select(match => new BicepDeclaration(
            match.Groups["symbol"].Value, match.Groups["what"].Value, match.Groups["existing"].Success, Read(match.Groups["body"].Value)))];
        Modules = [.. Declaration().Matches(text).Where(match => match.Groups["kind"].Value == "module").Select(match => (match.Groups["what"].Value, Read(match.Groups["body"].Value)))];
    }

    /// <summary>Name, and whether it may be left out.</summary>
    public IReadOnlyDictionary<string, bool> Parameters { get; }

    public IReadOnlyList<BicepDeclaration> Declarations { get; }

    public IReadOnlyList<(string File, IReadOnlyDictionary<string, HashSet<string>> Objects)> Modules { get; }

    public static Bicep Parse(string text) => new(text.ReplaceLineEndings("\n"));

    private static Dictionary<string, HashSet<string>> Read(string body)
    {
        var objects = new Dictionary<string, HashSet<string>>(StringComparer.Ordinal) { [""] = new(StringComparer.Ordinal) };
        var open = new Stack<(char Bracket, string Path, int Items)>();
        open.Push(('{', "", 0));
        foreach (var line in body.Split('\n'))
        {
            var text = Literal().Replace(line, "''");
            if (text.TrimStart().StartsWith("//", StringComparison.Ordinal))
            {
                continue;
            }

            var member = Member().Match(line);
            var path = open.Peek().Path;
            if (member.Success && open.Peek().Bracket == '{')
            {
                objects[path].Add(member.Groups["name"].Value);
                path = path.Length == 0 ? member.Groups["name"].Value : $"{path}.{member.Groups["name"].Value}";
            }

            foreach (var bracket in text.Where(character => "{}[]".Contains(character, StringComparison.Ordinal)))
            {
                if (bracket is '}' or ']')
                {
                    var (closed, _, _) = open.Pop();
                    if (closed != (bracket == '}' ? '{' : '['))
                    {
                        throw new FormatException($"{line.Trim()}: closes what was not opened.");
                    }

                    continue;
                }

                var of = path;
                if (open.Peek() is { Bracket: '[' } list)
                {
                    open.Pop();
                    open.Push((list.Bracket, list.Path, list.Items + 1));
                    of = string.Create(CultureInfo.InvariantCulture, $"{list.Path}[{list.Items}]");
                }

                open.Push((bracket, of, 0));
                if (bracket == '{')
                {
                    objects[of] = new(StringComparer.Ordinal);
                }
            }
        }

        return open.Count == 1 ? objects : throw new FormatException("A bracket is not closed.");
    }

    [GeneratedRegex(@"^param (?<name>\w+) \w+(?<default> = .*)?$", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Parameter();

    [GeneratedRegex(@"^(?<kind>resource|module) (?<symbol>\w+) '(?<what>[^']+)' (?<existing>existing )?= \{\n(?<body>(?:.*\n)*?)\}$", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^\s*(?<name>\w+|'[^']+'): ", RegexOptions.ExplicitCapture)]
    private static partial Regex Member();

    [GeneratedRegex(@"'(\\.|[^'\\])*'", RegexOptions.ExplicitCapture)]
    private static partial Regex Literal();
}
