using Npgsql;

namespace Wave16.Platform.Store;

/// <summary>A module's own database: its pool, and which life of the store this is.</summary>
/// <remarks>
/// Registered once per module, keyed by the module's name; inject it with <c>[FromKeyedServices(name)]</c>.
/// At most ten pooled connections (<see cref="DataSource"/>) and two unpooled ones for advisory locks (<see cref="OpenLockConnectionAsync"/>).
/// </remarks>
public sealed class ModuleDatabase : IAsyncDisposable
{
    private readonly NpgsqlDataSource _locks;
    private readonly TaskCompletionSource<StoreEpoch> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<StoreEpoch> _migrated = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal ModuleDatabase(string module, NpgsqlDataSource dataSource, NpgsqlDataSource locks)
    {
        Module = module;
        Schema = module.Replace('-', '_');
        DataSource = dataSource;
        _locks = locks;
    }

    /// <summary>The module's name, kebab-case.</summary>
    public string Module { get; }

    /// <summary>The schema the module's own tables live in, snake_case.</summary>
    public string Schema { get; }

    public NpgsqlDataSource DataSource { get; }

    /// <summary>The current life of the store. Known once migrations have run.</summary>
    /// <exception cref="InvalidOperationException">The schema has not been brought up yet.</exception>
    public StoreEpoch Epoch => _migrated.Task.IsCompletedSuccessfully
        ? _migrated.Task.Result
        : throw new InvalidOperationException($"The store of {Module} has not been migrated yet.");

    /// <summary>Completes once the schema is at least what this code needs, and the silo is there to work on it. Background work of the module waits for it.</summary>
    public Task<StoreEpoch> WhenReadyAsync(CancellationToken cancellation) => _ready.Task.WaitAsync(cancellation);

    /// <summary>Completes once the schema is at least what this code needs.</summary>
    internal Task WhenMigratedAsync(CancellationToken cancellation) => _migrated.Task.WaitAsync(cancellation);

    /// <summary>What has to happen besides before there is work on the store.</summary>
    internal Task Opening { get; init; } = Task.CompletedTask;

    internal bool IsReady => _ready.Task.IsCompletedSuccessfully;

    internal void Enter(StoreEpoch epoch)
    {
        _migrated.TrySetResult(epoch);
        if (Opening.IsCompletedSuccessfully)
        {
            _ready.TrySetResult(epoch);
        }
        else
        {
            _ = Opening.ContinueWith(_ => _ready.TrySetResult(epoch), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
        }
    }

    public ValueTask<NpgsqlConnection> OpenAsync(CancellationToken cancellation) => DataSource.OpenConnectionAsync(cancellation);

    /// <summary>A connection outside the pool, for a session-level advisory lock; closing it releases the lock.</summary>
    public ValueTask<NpgsqlConnection> OpenLockConnectionAsync(CancellationToken cancellation) => _locks.OpenConnectionAsync(cancellation);

    public async ValueTask DisposeAsync()
    {
        await DataSource.DisposeAsync();
        await _locks.DisposeAsync();
    }
}

/// <param name="Number">Grows by one with every restore.</param>
/// <param name="Token">Twelve hexadecimal characters; part of every event id.</param>
public sealed record StoreEpoch(int Number, string Token);
