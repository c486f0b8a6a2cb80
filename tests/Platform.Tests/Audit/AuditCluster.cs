using Wave16.Testing;

namespace Wave16.Platform.Tests.Audit;

/// <summary>
/// A database server of the sealing tests' own, and one test at a time on it: an open writing transaction holds up the
/// sealers of every database of its server, and other tests keep theirs open on purpose.
/// </summary>
public sealed class AuditCluster : IAsyncDisposable
{
    public const string Name = "audit";

    public PostgresFixture Postgres { get; } = new();

    public ValueTask DisposeAsync() => Postgres.DisposeAsync();
}

[CollectionDefinition(AuditCluster.Name)]
public sealed class AuditClusterCollection : ICollectionFixture<AuditCluster>;
