using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Wave16.LocalPostgres;

/// <summary>One set of PostgreSQL server binaries on this machine.</summary>
internal sealed partial record PostgresInstallation(string Folder, int Major, string Version)
{
    public const int OldestMajor = 15;

    // Debian; PGDG on Fedora and RHEL; Fedora; SUSE; Alpine; built from source; Homebrew; Postgres.app; EDB.
    private static readonly string[] s_unixPatterns =
    [
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/usr/bin",
        "/usr/lib/postgresql*/bin",
        "/usr/libexec/postgresql*",
        "/usr/local/pgsql/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
        "/Library/PostgreSQL/*/bin",
    ];

    public string Program(string name) => Path.Combine(Folder, OperatingSystem.IsWindows() ? name + ".exe" : name);

    /// <summary>All complete installations, newest first; those on PATH before others of the same version.</summary>
    public static async Task<IReadOnlyList<PostgresInstallation>> FindAllAsync(IReadOnlyList<string>? folders, CancellationToken cancellationToken)
    {
        var found = new List<PostgresInstallation>();
        foreach (var folder in (folders ?? UsualFolders()).Distinct(StringComparer.Ordinal))
        {
            var candidate = new PostgresInstallation(folder, 0, "");
            if (!File.Exists(candidate.Program("postgres")) || !File.Exists(candidate.Program("initdb")))
                continue;
            if (await ReadVersionAsync(candidate, cancellationToken) is { } installation)
                found.Add(installation);
        }
        return [.. found.OrderByDescending(i => i.Major).ThenByDescending(i => Minor(i.Version))];
    }

    private static IEnumerable<string> UsualFolders()
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        var usual = OperatingSystem.IsWindows()
            ? Expand(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles), "PostgreSQL", "*", "bin"))
            : s_unixPatterns.SelectMany(Expand);
        return path.Where(Path.IsPathFullyQualified).Concat(usual);
    }

    private static IEnumerable<string> Expand(string pattern)
    {
        IEnumerable<string> folders = [Path.GetPathRoot(pattern) ?? ""];
        foreach (var part in pattern[(Path.GetPathRoot(pattern) ?? "").Length..].Split(Path.DirectorySeparatorChar))
        {
            folders = part.Contains('*', StringComparison.Ordinal)
                ? folders.Where(Directory.Exists).SelectMany(folder => Directory.EnumerateDirectories(folder, part))
                : folders.Select(folder => Path.Combine(folder, part));
        }
        return folders;
    }

    private static async Task<PostgresInstallation?> ReadVersionAsync(PostgresInstallation candidate, CancellationToken cancellationToken)
    {
        var output = await Command.RunAsync(new ProcessStartInfo(candidate.Program("postgres"), ["--version"]), cancellationToken);
        var match = VersionPattern().Match(output.Text);
        return output.ExitCode == 0 && match.Success
            ? candidate with
            {
                Major = int.Parse(match.Groups["major"].ValueSpan, CultureInfo.InvariantCulture),
                Version = match.Groups["version"].Value,
            }
            : null;
    }

    private static int Minor(string version) =>
        version.Split('.') is [_, var minor, ..] && int.TryParse(minor, CultureInfo.InvariantCulture, out var number) ? number : 0;

    [GeneratedRegex(@"\(PostgreSQL\) (?<version>(?<major>\d+)[\w.]*)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex VersionPattern();
}
