using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security;
using System.Xml.Linq;
using Wave16.Testing;

namespace Wave16.AppHost.Tests;

/// <summary>What a feed carries of Aspire.</summary>
internal enum Carries
{
    Nothing,
    AllButAzure,
    Azure,
}

/// <summary>
/// A solution of one project that holds the repository's own gate, with a feed, a package folder and a home of its own: nothing
/// here asks a network or the user's packages, and the first build is the first on its machine.
/// </summary>
internal sealed class GateSandbox : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("wave16-gate-").FullName;

    public GateSandbox()
    {
        foreach (var file in (string[])["Directory.Solution.targets", "Directory.Packages.props", "Wave16.AppHost/Gate/UseAspire.props", "Wave16.AppHost/Gate/Probe.csproj", "Wave16.AppHost/Gate/Answer.proj"])
        {
            var copy = Path.Combine(_root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(copy) ?? _root);
            File.Copy(Path.Combine(Checkout.Root, file), copy);
        }

        File.WriteAllText(Path.Combine(_root, "Gate.slnx"), """<Solution><Project Path="Reader.csproj" /></Solution>""");
        File.WriteAllText(Path.Combine(_root, "Reader.csproj"), """
            <Project>
              <Import Project="Wave16.AppHost/Gate/UseAspire.props" />
              <Target Name="Build"><Message Importance="high" Text="read:$(UseAspire)/$(UseAspireAzure)" /></Target>
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

    public void CreateFeed(string name, Carries carries)
    {
        Directory.CreateDirectory(Feed(name));
        if (carries == Carries.Nothing)
            return;
        var versions = XDocument.Load(Path.Combine(_root, "Directory.Packages.props")).Descendants()
            .Where(element => element.Name.LocalName.StartsWith("Aspire", StringComparison.Ordinal))
            .ToDictionary(element => $"[$({element.Name.LocalName})]", element => element.Value, StringComparer.Ordinal);
        var asked = XDocument.Load(Path.Combine(_root, "Wave16.AppHost/Gate/Probe.csproj")).Descendants("PackageDownload")
            .SelectMany(item => Attribute(item, "Include").Replace("$(NETCoreSdkPortableRuntimeIdentifier)", RuntimeInformation.RuntimeIdentifier, StringComparison.Ordinal)
                .Split(';').Select(id => (Id: id, Version: versions[Attribute(item, "Version")])));
        foreach (var (id, version) in asked.Where(asked => carries == Carries.Azure || !asked.Id.StartsWith("Aspire.Hosting.Azure.", StringComparison.Ordinal)))
            AddPackage(name, id, version);
    }

    public void AddPackage(string feed, string id, string version)
    {
        using var package = ZipFile.Open(Path.Combine(Feed(feed), $"{id}.{version}.nupkg"), ZipArchiveMode.Create);
        using var nuspec = new StreamWriter(package.CreateEntry($"{id}.nuspec").Open());
        nuspec.Write($"<package><metadata><id>{id}</id><version>{version}</version><authors>test</authors><description>empty</description></metadata></package>");
    }

    public void RemovePackage(string feed, string id)
    {
        foreach (var package in Directory.EnumerateFiles(Feed(feed), $"{id}.*.nupkg").ToList())
            File.Delete(package);
    }

    /// <summary>Builds and returns what the project read: UseAspire/UseAspireAzure.</summary>
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

    private static string Attribute(XElement element, string name) =>
        element.Attribute(name)?.Value ?? throw new InvalidOperationException($"{element} has no {name}");
}
