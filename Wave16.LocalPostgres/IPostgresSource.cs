namespace Wave16.LocalPostgres;

/// <summary>A server that we start, and therefore may stop and start again.</summary>
internal interface IPostgresSource : IAsyncDisposable
{
    PostgresKind Kind { get; }

    string Description { get; }

    /// <summary>The owner's connection to the database <c>postgres</c>; the same after every start.</summary>
    string ConnectionString { get; }

    Task StartAsync(CancellationToken cancellationToken);

    Task StopAsync(CancellationToken cancellationToken);
}
