using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace Wave16.LocalPostgres;

/// <summary>
/// What a killed run left behind. Only for a directory whose lock we hold: then any server in it is an orphan.
/// </summary>
internal static class StaleServer
{
    // Between the kernel's start of a process and the server's own note of it.
    private static readonly TimeSpan s_startUp = TimeSpan.FromSeconds(30);
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
        var alive = OperatingSystem.IsLinux() ? Read($"/proc/{id}/cwd/postmaster.pid") == recorded : IsServer(id, recorded);
        return alive ? id : null;
    }

    /// <summary>Ends an orphan and removes the lock file it would have removed.</summary>
    /// <exception cref="PostgresUnavailableException">The orphan is not ours to stop.</exception>
    public static async Task ClearAsync(ClusterDirectory directory, PostgresInstallation installation, ServerAccount account, CancellationToken cancellationToken)
    {
        foreach (var signal in new[] { PostmasterSignal.Interrupt, PostmasterSignal.Quit, PostmasterSignal.Kill })
        {
            var waited = Stopwatch.StartNew();
            if (ProcessOf(directory) is not { } orphan)
                break;
            if (OperatingSystem.IsWindows())
                await PgCtl.StopAsync(installation, account, directory.Data, orphan, signal, cancellationToken);
            else
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

    /// <summary>
    /// Where a process's directory cannot be asked for: whether it is a server that started when the lock file says, on its
    /// third line, in seconds since 1970 (PostgreSQL source, miscadmin.h). One that got its number later started later.
    /// </summary>
    internal static bool IsServer(int id, string recorded)
    {
        if (recorded.Split('\n') is not [_, _, var started, ..] || !long.TryParse(started, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
            return false;
        try
        {
            using var process = Process.GetProcessById(id);
            return process.ProcessName.StartsWith("postgres", StringComparison.Ordinal)
                && (process.StartTime.ToUniversalTime() - DateTime.UnixEpoch.AddSeconds(seconds)).Duration() < s_startUp;
        }
        catch (Exception unknown) when (unknown is ArgumentException or InvalidOperationException or Win32Exception)
        {
            // It has gone, or it is somebody else's.
            return false;
        }
    }
}
