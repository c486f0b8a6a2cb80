using System.Diagnostics;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(Wave16.Images.Tests.Published))]

namespace Wave16.Images.Tests;

/// <summary>
/// vuln-center's image, published twice from nothing as azd publishes it (Azure/azure-dev, <c>cli/azd/pkg/tools/dotnet/dotnet.go</c>,
/// <c>PublishContainer</c>), but for the base image, and into an archive instead of a registry.
/// </summary>
public sealed class Published : IAsyncDisposable
{
    /// <summary>azd makes them of the names of the application and the environment, and of the time.</summary>
    internal const string Repository = "wave16/vuln-center-staging";
    internal const string Tag = "azd-deploy-1795847735";
    internal const string Project = "modules/vuln-center/src/Wave16.VulnCenter.csproj";
    private readonly string _folder = Directory.CreateTempSubdirectory("wave16-images-").FullName;
    private readonly Lazy<Task<(ImageArchive First, ImageArchive Second, string BaseLayer, string Said, bool LeftLockFiles)>> _images;

    public Published() => _images = new(PublishTwiceAsync);

    internal async Task<ImageArchive> ImageAsync() => (await _images.Value).First;

    internal async Task<ImageArchive> AgainAsync() => (await _images.Value).Second;

    internal async Task<string> BaseLayerAsync() => (await _images.Value).BaseLayer;

    /// <summary>All that the first of the commands wrote.</summary>
    internal async Task<string> SaidAsync() => (await _images.Value).Said;

    /// <summary>Whether they are as they were before.</summary>
    internal async Task<bool> LeftLockFilesAsync() => (await _images.Value).LeftLockFiles;

    /// <summary>Runs the SDK as a person would, without what outlives the command.</summary>
    internal static async Task<string> DotnetAsync(IEnumerable<string> arguments, params IEnumerable<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments) { WorkingDirectory = Checkout.Root };
        foreach (var (name, value) in environment.Append(("DOTNET_CLI_USE_MSBUILD_SERVER", "0")).Append(("MSBUILDDISABLENODEREUSE", "1")))
        {
            start.Environment[name] = value;
        }

        var (exitCode, output) = await ChildProcess.RunAsync(start, TestContext.Current.CancellationToken);
        Assert.True(exitCode == 0, output);
        return output;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task<(ImageArchive First, ImageArchive Second, string BaseLayer, string Said, bool LeftLockFiles)> PublishTwiceAsync()
    {
        var locked = LockFiles();
        await using var registry = await BaseImageRegistry.StartAsync();
        var (first, said) = await PublishAsync(registry, "first");
        var (second, _) = await PublishAsync(registry, "second");
        return (first, second, registry.Layer, said, locked.SequenceEqual(LockFiles()));
    }

    private static List<(string Path, string Content)> LockFiles() =>
        [.. ((string[])["modules", "Wave16.Platform", "Wave16.ServiceDefaults"])
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Checkout.Root, folder), "packages.*lock.json", SearchOption.AllDirectories))
            .Order(StringComparer.Ordinal).Select(path => (path, File.ReadAllText(path)))];

    private async Task<(ImageArchive Image, string Said)> PublishAsync(BaseImageRegistry registry, string name)
    {
        // One place for both builds: symbols and what is checked against them hold the paths of generated code.
        var built = Path.Combine(_folder, "built");
        var archive = Path.Combine(_folder, $"{name}.tar");
        var said = await DotnetAsync(
            [
                "publish", Project, "-r", "linux-x64", "-c", "Release", "/t:PublishContainer",
                $"-p:ContainerRepository={Repository}", $"-p:ContainerImageTag={Tag}", "-p:ContainerRegistry=registry.example",
                "--getProperty:GeneratedContainerConfiguration", "--artifacts-path", built,
                $"-p:ContainerArchiveOutputPath={archive}", $"-p:ContainerBaseImage={registry.Image}", "--disable-build-servers",
                // The API document and the analysis are the ordinary build's.
                "-p:OpenApiGenerateDocumentsOnBuild=false", "-p:RunAnalyzers=false",
            ],
            ("DOTNET_CONTAINER_INSECURE_REGISTRIES", registry.Authority),
            // Where the SDK keeps the layers it has made and pulled.
            ("TMPDIR", Directory.CreateDirectory(Path.Combine(_folder, "layers")).FullName));
        Directory.Delete(built, recursive: true);
        return (ImageArchive.Unpack(archive, Path.Combine(_folder, name)), said);
    }
}
