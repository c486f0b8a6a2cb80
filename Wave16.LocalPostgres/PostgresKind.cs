namespace Wave16.LocalPostgres;

/// <summary>Where the server of a <see cref="PostgresServer"/> comes from.</summary>
public enum PostgresKind
{
    /// <summary>A connection string was given.</summary>
    Given,

    /// <summary>Started from the machine's PostgreSQL binaries.</summary>
    Private,

    /// <summary>Started by Docker or Podman.</summary>
    Container,
}
