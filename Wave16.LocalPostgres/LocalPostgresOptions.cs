namespace Wave16.LocalPostgres;

/// <summary>Which PostgreSQL to use and, when it is a private one, where it lives.</summary>
public sealed record LocalPostgresOptions
{
    /// <summary>When given, this server is used as it is: nothing is started and nothing is stopped.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>
    /// Where the private cluster keeps its data, password and log, for example
    /// <c>&lt;content root&gt;/.wave16/postgres</c>. Required unless <see cref="Durable"/> is false.
    /// </summary>
    public string? DataDirectory { get; init; }

    /// <summary>
    /// True: the data outlives the process and commits reach the disk. False: a throw-away cluster in the
    /// temporary folder, without fsync, removed on disposal.
    /// </summary>
    public bool Durable { get; init; } = true;

    /// <summary>Whether a container may be used when the machine has no PostgreSQL binaries.</summary>
    public bool AllowContainer { get; init; } = true;

    /// <summary>Further server settings by name, as <c>postgres -c name=value</c> takes them.</summary>
    public IReadOnlyDictionary<string, string>? Settings { get; init; }

    /// <summary>Where binaries are looked for; null means PATH and the distributions' folders.</summary>
    internal IReadOnlyList<string>? BinaryFolders { get; init; }

    /// <summary>Where a cluster goes whose own directory its account cannot use; null means the system's place for state.</summary>
    internal string? FallbackFolder { get; init; }

    /// <summary>Runs the server under a shell that watches us, as on systems without a parent-death signal.</summary>
    internal bool WatchThroughShell { get; init; }

    /// <summary>How long after a failure to start the server again it is tried once more.</summary>
    internal TimeSpan StartAgainAfter { get; init; } = TimeSpan.FromSeconds(5);
}
