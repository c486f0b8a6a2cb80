using System.Diagnostics;
using Wave16.Testing;

namespace Wave16.Distributed.Tests;

/// <summary>
/// The release before this one, built from the repository's own history: a rolling upgrade has both in one cluster and on one
/// schema. <c>previous-release.txt</c> names its commit, and moves on with each release.
/// </summary>
internal sealed class PreviousRelease
{
    private readonly string _folder;

    private PreviousRelease(string folder) => _folder = folder;

    /// <summary>Built once for each commit, under <c>artifacts/</c>.</summary>
    /// <returns>Null in a shallow clone, which has no history.</returns>
    public static async Task<PreviousRelease?> BuildAsync(IEnumerable<string> projectFiles, CancellationToken cancellation)
    {
        var commit = (await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "tests", "Distributed.Tests", "previous-release.txt"), cancellation)).Trim();
        if (await ChildProcess.RunAsync(new ProcessStartInfo("git", ["-C", Checkout.Root, "cat-file", "-e", commit]), cancellation) is not (0, _))
        {
            return null;
        }

        var folder = Path.Combine(Checkout.Root, "artifacts", "previous-release", commit);
        var done = Path.Combine(folder, "built");
        if (!File.Exists(done))
        {
            Directory.CreateDirectory(folder);
            var archive = Path.Combine(folder, "source.tar");
            await RunAsync("git", ["-C", Checkout.Root, "archive", "--format=tar", $"--output={archive}", commit], cancellation);
            await System.Formats.Tar.TarFile.ExtractToDirectoryAsync(archive, folder, overwriteFiles: true, cancellation);
            foreach (var file in projectFiles.Select(file => Moved(folder, file)).Where(File.Exists))
            {
                await RunAsync("dotnet", ["build", file, "--nologo", "-v", "q", "-p:UseAspire=false", "-p:OpenApiGenerateDocumentsOnBuild=false", "-p:RunAnalyzers=false"], cancellation);
            }

            await File.WriteAllTextAsync(done, "", cancellation);
        }

        return new PreviousRelease(folder);
    }

    /// <summary>The same program as it was then; null for a project that is new.</summary>
    public string? ProgramOf(string projectFile)
    {
        var file = Moved(_folder, projectFile);
        var program = Path.Combine(Path.GetDirectoryName(file) ?? "", "bin", "Debug", "net10.0", Path.ChangeExtension(Path.GetFileName(file), ".dll"));
        return File.Exists(program) ? program : null;
    }

    private static string Moved(string folder, string file) => Path.Combine(folder, Path.GetRelativePath(Checkout.Root, file));

    private static async Task RunAsync(string program, string[] arguments, CancellationToken cancellation)
    {
        var (exitCode, output) = await ChildProcess.RunAsync(new ProcessStartInfo(program, arguments), cancellation);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)}:\n{output}");
    }
}
