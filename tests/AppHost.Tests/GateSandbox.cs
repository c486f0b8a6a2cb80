using System.IO.Compression;
using System.Security;
using System.Xml.Linq;

namespace Wave16.AppHost.Tests;

/// <summary>
/// A solution of one project that holds the repository's own gate, with a feed, a package folder and a home of its own: nothing
/// here asks a network or the user's packages, and the first build is the first on its machine.
/// </summary>
internal sealed class GateSandbox : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("wave16-gate-").FullName;

    public GateSandbox()
    {
        var repository = RepositoryRoot();
        foreach (var file in (string[])["Directory.Solution.targets", "Directory.Packages.props", "Wave16.AppHost/Gate/UseAspire.props", "Wave16.AppHost/Gate/Probe.csproj", "Wave16.AppHost/Gate/Answer.proj"])
        {
            var copy = Path.Combine(_root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(copy) ?? _root);
            File.Copy(Path.Combine(repository, file), copy);
        }

        File.WriteAllText(Path.Combine(_root, "Gate.slnx"), """<Solution><Project Path="Reader.csproj" /></Solution>""");
        File.WriteAllText(Path.Combine(_root, "Reader.csproj"), """
            <Project>
              <Import Project="Wave16.AppHost/Gate/UseAspire.props" />
              <Target Name="Build"><Message Importance="high" Text="read:$(UseAspire)" /></Target>
            </Project>
            """);
        UseFeed("feed");
    }

    public string Feed(string name) => Path.Combine(_root, name);

    public IEnumerable<string> AnswerFiles =>
        Directory.Exists(AnswerFolder) ? Directory.EnumerateFileSystemEntries(AnswerFolder) : [];

    private string AnswerFolder => Path.Combine(_root, "artifacts", "aspire");

    public void UseFeed(string name) => File.WriteAllText(Path.Combine(_root, "nuget.config"), $"""
        <configuration>
          <packageSources><clear /><add key="{name}" value="{SecurityElement.Escape(Feed(name))}" /></packageSources>
        </configuration>
        """);

    public void CreateFeed(string name, bool withAspire)
    {
        Directory.CreateDirectory(Feed(name));
        if (!withAspire)
            return;
        var version = XDocument.Load(Path.Combine(_root, "Directory.Packages.props")).Descendants("AspireVersion").Single().Value;
        var asked = XDocument.Load(Path.Combine(_root, "Wave16.AppHost/Gate/Probe.csproj")).Descendants("PackageDownload");
        foreach (var id in asked.SelectMany(item => item.Attribute("Include")?.Value.Split(';') ?? []))
        {
            using var package = ZipFile.Open(Path.Combine(Feed(name), $"{id}.{version}.nupkg"), ZipArchiveMode.Create);
            using var nuspec = new StreamWriter(package.CreateEntry($"{id}.nuspec").Open());
            nuspec.Write($"<package><metadata><id>{id}</id><version>{version}</version><authors>test</authors><description>empty</description></metadata></package>");
        }
    }

    /// <summary>Builds and returns what the project read.</summary>
    public async Task<string> Build(string target = "Gate.slnx", params string[] arguments)
    {
        var home = Directory.CreateDirectory(Path.Combine(_root, "home")).FullName;
        var environment = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["NUGET_PACKAGES"] = Path.Combine(_root, "packages"),
            ["HOME"] = home,
            ["APPDATA"] = home,
        };
        var (exitCode, output, error) = await Dotnet.Run(_root, ["msbuild", target, "-nologo", "-m:2", .. arguments], environment);
        Assert.True(exitCode == 0, output + error);
        return output.Split('\n').Single(line => line.Contains("read:", StringComparison.Ordinal)).Split(':')[1].Trim();
    }

    public void AgeAnswers(TimeSpan age)
    {
        foreach (var file in AnswerFiles)
            File.SetLastWriteTimeUtc(file, File.GetLastWriteTimeUtc(file) - age);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static string RepositoryRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Wave16.sln")))
            folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("Wave16.sln is in no parent folder of the test");
    }
}
