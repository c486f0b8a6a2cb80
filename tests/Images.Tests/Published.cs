using System.Diagnostics;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(Wave16.Images.Tests.Published))]

namespace Wave16.Images.Tests;

/// <summary>vuln-center's image, published twice from nothing by the command that a release uses, but for the base image.</summary>
public sealed class Published : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("wave16-images-").FullName;
    private readonly Lazy<Task<(ImageArchive First, ImageArchive Second, string BaseLayer)>> _images;

    public Published() => _images = new(PublishTwiceAsync);

    internal async Task<ImageArchive> ImageAsync() => (await _images.Value).First;

    internal async Task<ImageArchive> AgainAsync() => (await _images.Value).Second;

    internal async Task<string> BaseLayerAsync() => (await _images.Value).BaseLayer;

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task<(ImageArchive First, ImageArchive Second, string BaseLayer)> PublishTwiceAsync()
    {
        await using var registry = await BaseImageRegistry.StartAsync();
        return (await PublishAsync(registry, "first"), await PublishAsync(registry, "second"), registry.Layer);
    }

    private async Task<ImageArchive> PublishAsync(BaseImageRegistry registry, string name)
    {
        // One place for both builds: symbols and what is checked against them hold the paths of generated code.
        var built = Path.Combine(_folder, "built");
        var archive = Path.Combine(_folder, $"{name}.tar");
        var start = new ProcessStartInfo(
            Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
            [
                "publish", Path.Combine("modules", "vuln-center", "src"), "-c", "Release", "-t:PublishContainer", "--artifacts-path", built, "--nologo", "-v", "q", "--disable-build-servers",
                $"-p:ContainerArchiveOutputPath={archive}", $"-p:ContainerBaseImage={registry.Image}",
                // The API document is the ordinary build's.
                "-p:OpenApiGenerateDocumentsOnBuild=false",
            ])
        {
            WorkingDirectory = Checkout.Root,
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DOTNET_CONTAINER_INSECURE_REGISTRIES"] = registry.Authority;
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        // Where the SDK keeps the layers it has made and pulled.
        start.Environment["TMPDIR"] = Directory.CreateDirectory(Path.Combine(_folder, "layers")).FullName;
        using var publish = Process.Start(start) ?? throw new InvalidOperationException("dotnet did not start.");
        var output = publish.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = publish.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        try
        {
            await publish.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        catch (OperationCanceledException)
        {
            publish.Kill(entireProcessTree: true);
            throw;
        }

        Assert.True(publish.ExitCode == 0, await output + await error);
        Directory.Delete(built, recursive: true);
        return ImageArchive.Unpack(archive, Path.Combine(_folder, name));
    }
}
