using System.Text;
using System.Text.RegularExpressions;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed partial class OnboardingTests
{
    public static TheoryData<string> Formats => [.. ReportFormats.All.Concat(PeopleSources.All).Select(format => format.Name)];

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task Every_format_has_a_section_that_shows_how_to_send_it_and_its_severities_as_the_code_has_them(string format)
    {
        var known = ReportFormats.Find(format);
        Assert.NotNull(known);

        var section = Assert.Single(await SectionsAsync(), section => section.StartsWith($"{format}\n", StringComparison.Ordinal) || section.Contains(
            format == "generic" ? "\"schemaVersion\"" : $"format={format}&", StringComparison.Ordinal));

        Assert.True(known is PeopleSource || section.Contains("curl ", StringComparison.Ordinal));
        Assert.Equal(
            known.Severities.Select(mapping => $"{mapping.Raw} → {mapping.Severity}").Order(StringComparer.OrdinalIgnoreCase),
            TableOf(section).Select(row => $"{row.Raw} → {row.Severity}").Order(StringComparer.OrdinalIgnoreCase),
            StringComparer.OrdinalIgnoreCase);
    }

    static async Task<string[]> SectionsAsync()
    {
        var file = Path.Combine(VulnCenterCalls.Fixture(".."), "docs", "onboarding.md");
        return (await File.ReadAllTextAsync(file, Encoding.UTF8, TestContext.Current.CancellationToken)).Split(["\n## ", "\n### "], StringSplitOptions.None);
    }

    // "CRITICAL, HIGH | the same", "P1, P2 | critical, high", "INVENTORY, EXPERIMENT | info"; a remark in brackets is for people.
    static IEnumerable<(string Raw, string Severity)> TableOf(string section)
    {
        foreach (Match row in Row().Matches(section))
        {
            var raw = Words(row.Groups["raw"].Value);
            var severities = Words(row.Groups["severity"].Value);
            for (var i = 0; i < raw.Length; i++)
                yield return (raw[i], severities is ["the same"] ? raw[i] : severities is [var one] ? one : severities[i]);
        }
    }

    static string[] Words(string cell) => Remark().Replace(cell, "").Split(',', StringSplitOptions.TrimEntries);

    [GeneratedRegex(@"^\| (?<raw>[^|]+) \| (?<severity>(the same|critical|high|medium|low|info|none|unknown)[^|]*) \|$", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1_000)]
    private static partial Regex Row();

    [GeneratedRegex(@" \([^)]*\)", RegexOptions.ExplicitCapture, 1_000)]
    private static partial Regex Remark();
}
