using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Wave16.LocalPostgres;

/// <summary>
/// The account the server runs under: our own, or <c>nobody</c> when we are root, because PostgreSQL refuses to run as root.
/// </summary>
internal sealed partial class ServerAccount
{
    private readonly (uint User, uint Group)? _dropTo;
    private readonly string? _setpriv;
    private readonly string? _setsid;

    private ServerAccount((uint User, uint Group)? dropTo, string? setpriv, string? setsid) =>
        (_dropTo, _setpriv, _setsid) = (dropTo, setpriv, setsid);

    /// <summary>Our own account, for what runs no server under it.</summary>
    public static ServerAccount Ours { get; } = new(null, null, null);

    public static async Task<ServerAccount> CurrentAsync(CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsWindows())
            return new(null, null, null);

        var root = Environment.IsPrivilegedProcess;
        if (OnPath("setpriv") is { } setpriv)
        {
            // BusyBox has a setpriv that can do none of this.
            var able = await Command.RunAsync(Quiet(setpriv, [.. Drop(root ? Nobody() : null), "--pdeathsig=INT", "true"]), cancellationToken);
            if (able.ExitCode == 0)
                return new(root ? Nobody() : null, setpriv, OnPath("setsid"));
        }
        return root
            ? throw new PostgresUnavailableException(
                "PostgreSQL does not run as root, and there is no setpriv (util-linux) to run it as another user. "
                + "Install it, start this program as an ordinary user, or set ConnectionStrings__postgres.")
            : new(null, null, OnPath("setsid"));
    }

    /// <summary>Whether the kernel can be told to stop the server when we die.</summary>
    public bool HasParentDeathSignal => _setpriv is not null && _setsid is not null;

    /// <summary>Gives a file or directory that we made to the account.</summary>
    public void Own(string path)
    {
        if (_dropTo is var (user, group) && ChangeOwner(path, user, group) != 0)
            throw new IOException($"{path} cannot be given to user {user}: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    /// <summary>Creates what is missing of a folder's path, so that the account can pass through whatever our umask is.</summary>
    public void MakeFolder(string folder)
    {
        if (Directory.Exists(folder))
            return;
        if (Path.GetDirectoryName(folder) is { } parent)
            MakeFolder(parent);
        Directory.CreateDirectory(folder);
        const UnixFileMode ours = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder, _dropTo is null ? ours : ours | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
    }

    /// <summary>Whether the account can keep a data directory in <paramref name="folder"/>, which is created.</summary>
    public async Task<bool> CanUseAsync(string folder, CancellationToken cancellationToken)
    {
        const int readOnlyFileSystem = 30;
        try
        {
            MakeFolder(folder);
            return OperatingSystem.IsWindows() || await CanOwnAsync(Path.Combine(folder, $"probe-{Guid.NewGuid():N}"), cancellationToken);
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException failure) when (!OperatingSystem.IsWindows() && failure.HResult == readOnlyFileSystem)
        {
            return false;
        }
    }

    [UnsupportedOSPlatform("windows")]
    private async Task<bool> CanOwnAsync(string probe, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(probe, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            // Some file systems keep neither owners nor modes; PostgreSQL insists on both.
            if (_dropTo is var (user, group) && ChangeOwner(probe, user, group) != 0)
                return false;
            if ((File.GetUnixFileMode(probe) & (UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) != UnixFileMode.None)
                return false;
            var test = await Command.RunAsync(Start("test", ["-O", probe, "-a", "-w", probe]), cancellationToken);
            return test.ExitCode == 0;
        }
        finally
        {
            Directory.Delete(probe);
        }
    }

    /// <summary>A program that runs to its end under the account.</summary>
    public ProcessStartInfo Start(string program, IEnumerable<string> arguments) =>
        _dropTo is null ? Quiet(program, arguments) : Quiet(_setpriv ?? "setpriv", [.. Drop(_dropTo), program, .. arguments]);

    /// <summary>
    /// The server itself: in a session of its own, so that Ctrl-C in the terminal reaches us and not it, and with
    /// <paramref name="deathSignal"/> sent to it when the thread that starts it ends. setsid and setpriv replace
    /// themselves, so the process started is the postmaster.
    /// </summary>
    public ProcessStartInfo StartServer(string program, IEnumerable<string> arguments, string deathSignal) =>
        Quiet(_setsid ?? "setsid", [_setpriv ?? "setpriv", .. Drop(_dropTo), "--no-new-privs", $"--pdeathsig={deathSignal}", program, .. arguments]);

    /// <summary>
    /// The server under a shell that reads our end of a pipe and interrupts the server when that ends, as it does with us.
    /// </summary>
    public ProcessStartInfo StartServerUnderShell(string program, IEnumerable<string> arguments)
    {
        const string watch = """
            trap '' INT TERM HUP
            exec 3<&0
            "$0" "$@" 3<&- </dev/null & server=$!
            (read -r _ <&3; kill -INT $server) >/dev/null 2>&1 & watcher=$!
            wait $server; status=$?
            kill -KILL $watcher 2>/dev/null
            exit $status
            """;
        var server = Start(program, arguments);
        // Where there is no setsid, as on macOS, there is Perl; without either, Ctrl-C reaches the server as well.
        string[] command = ["/bin/sh", "-c", watch, server.FileName, .. server.ArgumentList];
        return _setsid is not null ? Quiet(_setsid, command)
            : OnPath("perl") is { } perl ? Quiet(perl, ["-MPOSIX", "-e", "POSIX::setsid(); exec @ARGV", .. command])
            : Quiet(command[0], command[1..]);
    }

    private static IEnumerable<string> Drop((uint User, uint Group)? account) =>
        account is var (user, group)
            ? [string.Create(CultureInfo.InvariantCulture, $"--reuid={user}"), string.Create(CultureInfo.InvariantCulture, $"--regid={group}"), "--clear-groups"]
            : [];

    private static ProcessStartInfo Quiet(string program, IEnumerable<string> arguments)
    {
        // The account may not be able to enter our working directory; the user's locale may not exist here.
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Path.GetPathRoot(AppContext.BaseDirectory), CreateNoWindow = true };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("PG", StringComparison.Ordinal) || name.StartsWith("LC_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        start.Environment["LC_ALL"] = "C";
        start.Environment["TZ"] = "UTC";
        return start;
    }

    private static (uint User, uint Group) Nobody()
    {
        const uint overflow = 65534;
        var entry = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).FirstOrDefault(fields => fields is ["nobody", _, _, _, ..]);
        return entry is null
            ? (overflow, overflow)
            : (uint.Parse(entry[2], CultureInfo.InvariantCulture), uint.Parse(entry[3], CultureInfo.InvariantCulture));
    }

    private static string? OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Append("/usr/bin")
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);
}
