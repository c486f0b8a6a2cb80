using System.Diagnostics;
using System.Globalization;

namespace Wave16.LocalPostgres;

/// <summary>
/// What a killed run left behind. Only for a directory whose lock we hold: then any server in it is an orphan.
/// </summary>
internal static class StaleServer
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(20);

    /// <summary>The process in <c>postmaster.pid</c>, if it is alive and a server of this directory, and not another that got its number.</summary>
    public static int? ProcessOf(ClusterDirectory directory)
    {
        if (Read(directory.ProcessFile) is not { } recorded
            || !int.TryParse(recorded.AsSpan(0, Math.Max(0, recorded.IndexOf('\n', StringComparison.Ordinal))), NumberStyles.None, CultureInfo.InvariantCulture, out var id))
        {
            return null;
        }
        // A postmaster works in its data directory; a zombie has no working directory (proc(5)).
        var alive = OperatingSystem.IsLinux() ? Read($"/proc/{id}/cwd/postmaster.pid") == recorded : IsPostgres(id);
        return alive ? id : null;
    }

    /// <summary>Ends an orphan and removes the lock file it would have removed.</summary>
    public static async Task ClearAsync(ClusterDirectory directory, CancellationToken cancellationToken)
    {
        foreach (var signal in new[] { PostmasterSignal.Interrupt, PostmasterSignal.Quit, PostmasterSignal.Kill })
        {
            var waited = Stopwatch.StartNew();
            if (ProcessOf(directory) is not { } orphan)
                break;
            Postmaster.Signal(orphan, signal);
            while (ProcessOf(directory) == orphan && waited.Elapsed < s_patience)
                await Task.Delay(s_interval, cancellationToken);
        }
        File.Delete(directory.ProcessFile);
    }

    private static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool IsPostgres(int id)
    {
        try
        {
            using var process = Process.GetProcessById(id);
            return process.ProcessName.StartsWith("postgres", StringComparison.Ordinal);
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
