using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Wave16.LocalPostgres;

/// <summary>
/// The directory of a private cluster, held by a lock for as long as we use it:
/// <c>data/</c>, <c>password</c>, <c>port</c>, <c>server.log</c>, <c>instance.lock</c>.
/// </summary>
internal sealed class ClusterDirectory : IDisposable
{
    private const string LockName = "instance.lock";
    private const string Unfinished = "unfinished-";
    private const int MostInstances = 64;
    private readonly FileStream _lock;

    private ClusterDirectory(string root, FileStream @lock, string? remark) => (Root, _lock, Remark) = (root, @lock, remark);

    public string Root { get; }

    /// <summary>Why this is not the directory that was asked for.</summary>
    public string? Remark { get; }

    public string Data => Path.Combine(Root, "data");

    public string PasswordFile => Path.Combine(Root, "password");

    public string PortFile => Path.Combine(Root, "port");

    public string LogFile => Path.Combine(Root, "server.log");

    public string ProcessFile => Path.Combine(Data, "postmaster.pid");

    /// <summary>A name for what belongs to this directory but lives elsewhere.</summary>
    public string Fingerprint => FingerprintOf(Root);

    /// <summary>The wanted directory, or one beside it when another run holds it, or one elsewhere when the account cannot use it.</summary>
    public static async Task<ClusterDirectory> ClaimAsync(string wanted, string fallback, ServerAccount account, CancellationToken cancellationToken)
    {
        wanted = Path.GetFullPath(wanted);
        var root = wanted;
        string? remark = null;
        if (!await account.CanUseAsync(wanted, cancellationToken))
        {
            root = Path.Combine(fallback, FingerprintOf(wanted));
            remark = $"{wanted} cannot be used by the server's account";
            if (!await account.CanUseAsync(root, cancellationToken))
                throw new PostgresUnavailableException($"PostgreSQL's account can keep its data neither in {wanted} nor in {root}. Start this program as an ordinary user, or from a directory that others may enter.");
        }

        for (var instance = 1; instance <= MostInstances; instance++)
        {
            var candidate = instance == 1 ? root : $"{root}-{instance}";
            account.MakeFolder(candidate);
            if (TryLock(candidate, FileMode.OpenOrCreate) is { } @lock)
                return new(candidate, @lock, instance == 1 ? remark : $"{root} is in use by another run");
        }
        throw new PostgresUnavailableException($"{MostInstances} runs hold {root} and the directories beside it.");
    }

    /// <summary>A fresh directory for a throw-away cluster; those of killed runs are removed on the way.</summary>
    public static async Task<ClusterDirectory> ClaimTemporaryAsync(string fallback, ServerAccount account, ILogger logger, CancellationToken cancellationToken)
    {
        const string prefix = "wave16-postgres-";
        var parent = Path.GetTempPath();
        if (!await account.CanUseAsync(parent, cancellationToken))
        {
            parent = fallback;
            if (!await account.CanUseAsync(parent, cancellationToken))
                throw new PostgresUnavailableException($"PostgreSQL's account can keep its data neither in {Path.GetTempPath()} nor in {fallback}.");
        }
        foreach (var abandoned in Directory.EnumerateDirectories(parent, prefix + "*"))
        {
            try
            {
                if (TryLock(abandoned, FileMode.Open) is { } @lock)
                    new ClusterDirectory(abandoned, @lock, null).Remove();
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or PostgresUnavailableException)
            {
                logger.LogDebug(failure, "{Directory} of an earlier run cannot be removed", abandoned);
            }
        }
        while (true)
        {
            var candidate = Path.Combine(parent, prefix + Guid.NewGuid().ToString("N"));
            account.MakeFolder(candidate);
            if (TryLock(candidate, FileMode.CreateNew) is { } @lock)
                return new(candidate, @lock, null);
        }
    }

    public async Task<string?> ReadPasswordAsync(CancellationToken cancellationToken) =>
        File.Exists(PasswordFile) ? (await File.ReadAllTextAsync(PasswordFile, cancellationToken)).Trim() : null;

    /// <summary>A new password, readable only by the owner of the file.</summary>
    public async Task<string> WritePasswordAsync(CancellationToken cancellationToken)
    {
        var password = RandomNumberGenerator.GetHexString(32, lowercase: true);
        File.Delete(PasswordFile);
        var secret = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            secret.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        await using var file = new StreamWriter(PasswordFile, secret);
        await file.WriteLineAsync(password.AsMemory(), cancellationToken);
        return password;
    }

    /// <summary>The port of the last run.</summary>
    public async Task<int?> ReadPortAsync(CancellationToken cancellationToken) =>
        File.Exists(PortFile) && int.TryParse(await File.ReadAllTextAsync(PortFile, cancellationToken), CultureInfo.InvariantCulture, out var port)
            && port is > 0 and <= ushort.MaxValue ? port : null;

    public Task WritePortAsync(int port, CancellationToken cancellationToken) =>
        File.WriteAllTextAsync(PortFile, port.ToString(CultureInfo.InvariantCulture), cancellationToken);

    /// <summary>
    /// A folder for initdb to work in, so that an interrupted one is never taken for a cluster. Its name is new each time:
    /// the initdb of a killed run goes on for a while, and must not write into ours.
    /// </summary>
    public string NewUnfinished()
    {
        foreach (var left in Directory.EnumerateDirectories(Root, Unfinished + "*"))
        {
            try
            {
                Directory.Delete(left, recursive: true);
            }
            catch (IOException)
            {
                // It is still being written; a later run finds it again.
                continue;
            }
        }
        return Path.Combine(Root, Unfinished + Guid.NewGuid().ToString("N"));
    }

    /// <summary>Removes the directory and everything in it.</summary>
    public void Remove()
    {
        try
        {
            if (StaleServer.ProcessOf(this) is { } orphan)
                Postmaster.Kill(orphan);
            foreach (var folder in Directory.EnumerateDirectories(Root))
                Directory.Delete(folder, recursive: true);
            // The lock goes last: what is left of an interrupted removal is still seen as abandoned.
            foreach (var file in Directory.EnumerateFiles(Root).Where(file => Path.GetFileName(file) != LockName))
                File.Delete(file);
            if (OperatingSystem.IsWindows())
                Dispose();
            Directory.Delete(Root, recursive: true);
        }
        finally
        {
            Dispose();
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>The lock is the kernel's (flock), so it ends with its process however that ends. Null: another holds it.</summary>
    private static FileStream? TryLock(string root, FileMode mode)
    {
        try
        {
            var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = FileShare.None };
            if (!OperatingSystem.IsWindows() && mode != FileMode.Open)
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            return new FileStream(Path.Combine(root, LockName), options);
        }
        catch (IOException failure) when (IsHeld(failure) || failure is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private static bool IsHeld(IOException failure)
    {
        const int sharingViolation = unchecked((int)0x80070020), wouldBlockLinux = 11, wouldBlockMac = 35;
        return failure.HResult is sharingViolation
            || (OperatingSystem.IsLinux() && failure.HResult is wouldBlockLinux)
            || (OperatingSystem.IsMacOS() && failure.HResult is wouldBlockMac);
    }

    private static string FingerprintOf(string path) =>
        $"{Path.GetFileName(path)}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(path)))[..12]}";
}
