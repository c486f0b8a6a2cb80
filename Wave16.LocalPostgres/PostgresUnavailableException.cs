namespace Wave16.LocalPostgres;

/// <summary>No PostgreSQL can be had. The message says why and what to do, fit to be shown as it is.</summary>
public sealed class PostgresUnavailableException : Exception
{
    public PostgresUnavailableException()
    {
    }

    public PostgresUnavailableException(string message)
        : base(message)
    {
    }

    public PostgresUnavailableException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    internal static PostgresUnavailableException NothingToRun(IReadOnlyList<PostgresInstallation> tooOld, bool containerAllowed) =>
        new($"""
            No PostgreSQL {PostgresInstallation.OldestMajor} or newer can be had.{Rejected(tooOld)}{(containerAllowed ? " Neither Docker nor Podman answers." : "")}
            Any one of these helps:
              1. Point to a server: set ConnectionStrings__postgres, for example to "Host=localhost;Username=postgres;Password=…;Database=postgres".
              2. Install PostgreSQL; it need not be running:
                   apt install postgresql
                   brew install postgresql@17
                   winget install PostgreSQL.PostgreSQL.17
              3. Start Docker or Podman; a container is used then.
            """);

    internal static PostgresUnavailableException OtherMajor(string directory, string made, IReadOnlyList<PostgresInstallation> installed) =>
        new($"""
            The data in {directory} was made by PostgreSQL {made}; this machine has {(installed.Count == 0 ? "no PostgreSQL" : $"PostgreSQL {string.Join(" and ", installed.Select(i => i.Version))}, which cannot read it")}.
            Install PostgreSQL {made} beside it, or carry the data over with pg_upgrade or pg_dump, or move {directory} away to start empty.
            """);

    private static string Rejected(IReadOnlyList<PostgresInstallation> tooOld) =>
        tooOld.Count == 0
            ? " No PostgreSQL binaries were found."
            : $" Too old: {string.Join(", ", tooOld.Select(i => $"PostgreSQL {i.Version} in {i.Folder}"))}.";
}
