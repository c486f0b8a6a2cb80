using System.Text.RegularExpressions;

namespace Wave16.Architecture.Tests;

/// <summary>Nothing in the repository names a place on the machine somebody worked on.</summary>
public sealed partial class MachinePathTests
{
    private static readonly string[] Text =
        [".cs", ".csproj", ".props", ".targets", ".sln", ".json", ".sql", ".md", ".mmd", ".yaml", ".yml", ".xml", ".txt", ".sh", ".bicep", ".editorconfig", ".html", ""];

    // Distributions' own folders, the same on every machine.
    private static readonly string[] Known = ["/home/linuxbrew"];

    [Theory]
    [InlineData("see /{0}/anna/notes.md", "home")]
    [InlineData("<Path>/{0}/build/out</Path>", "root")]
    [InlineData("/{0}/anna", "Users")]
    [InlineData(@"C:\{0}\anna", "Users")]
    [InlineData("cd /{0}/main", "work")]
    public void A_machine_path_is_found(string line, string folder) =>
        Assert.NotEmpty(Faults(string.Format(System.Globalization.CultureInfo.InvariantCulture, line, folder)));

    [Theory]
    [InlineData("/homepage/x")]
    [InlineData("../Work/Job.cs")]
    [InlineData("https://example.org/work/1")]
    public void What_only_looks_like_one_is_not(string line) => Assert.Empty(Faults(line));

    [Fact]
    public void Nothing_names_a_machine_path()
    {
        var files = Repository.Files().Where(path => Text.Contains(Path.GetExtension(path))).ToList();
        Assert.Contains("Directory.Build.props", files);
        Assert.Empty(from path in files
                     from fault in Faults(File.ReadAllText(Path.Combine(Repository.Root, path)))
                     select $"{path}: {fault}");
    }

    private static IEnumerable<string> Faults(string text) =>
        MachinePath().Matches(text).Select(found => found.Value).Where(found => !Known.Any(known => found.StartsWith(known, StringComparison.Ordinal)));

    [GeneratedRegex(@"(?<![\w.~}:/-])(/home/\w+|/root/\w+|/Users/\w+|/work/\w+)|[A-Z]:\\Users\\\w+", RegexOptions.ExplicitCapture)]
    private static partial Regex MachinePath();
}
