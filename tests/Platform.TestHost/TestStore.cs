using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.TestHost;

/// <summary>A module's store with one kind of entity, <c>counter</c>, whose saves raise events and take commands.</summary>
internal sealed class TestStore : IAsyncDisposable
{
    public const string Module = "counters";
    public const string Counted = "wave16.counters.counter-counted.v1";

    private static readonly JsonElement NoDetails = JsonElement.Parse("{}");
    private readonly SaveTail _tail;

    private TestStore(string connectionString, EventRoutes routes)
    {
        ConnectionString = connectionString;
        var pooled = new NpgsqlDataSourceBuilder(connectionString);
        pooled.ConnectionStringBuilder.MaxPoolSize = 10;
        pooled.ConnectionStringBuilder.MaxAutoPrepare = 60;
        pooled.ConnectionStringBuilder.Timeout = 5;
        var locks = new NpgsqlDataSourceBuilder(connectionString);
        locks.ConnectionStringBuilder.Pooling = false;
        locks.ConnectionStringBuilder.ApplicationName = "lock";
        Database = new ModuleDatabase(Module, pooled.Build(), locks.Build());
        Locks = new ModuleLocks(Database, new DependencyHealth(TimeProvider.System), NullLogger<ModuleLocks>.Instance);
        Routes = routes;
        Signal = new OutboxSignal(routes);
        _tail = new SaveTail(Database, routes);
    }

    public string ConnectionString { get; }

    public ModuleDatabase Database { get; }

    public ModuleLocks Locks { get; }

    public EventRoutes Routes { get; }

    public OutboxSignal Signal { get; }

    public static async Task MigrateAsync(string connectionString)
    {
        await using var store = new TestStore(connectionString, new EventRoutes());
        await store.EnterAsync();
        await store.ExecuteAsync("create table counter (tenant text, id text, version bigint not null, count bigint not null, primary key (tenant, id))");
        await store.ExecuteAsync("create table step (job uuid, number int, fence bigint not null, primary key (job, number))");
    }

    /// <param name="connectionString">Of a database that <see cref="MigrateAsync"/> has prepared.</param>
    /// <param name="destinations">Where <see cref="Counted"/> goes.</param>
    public static async Task<TestStore> OpenAsync(string connectionString, params string[] destinations)
    {
        var routes = new EventRoutes();
        foreach (var destination in destinations)
        {
            routes.Add(Counted, destination);
        }

        var store = new TestStore(connectionString, routes);
        await store.EnterAsync();
        return store;
    }

    /// <summary>Counts one up, in one statement with its events; false when the version was stale or the command has been done.</summary>
    public async Task<bool> CountAsync(string tenant, string id, long version, string? commandId = null, NpgsqlConnection? on = null, string data = "{}")
    {
        var change = Change(tenant, id, version, commandId, data);
        await using var command = new NpgsqlCommand(version == 1
            ? $"""
               with u as (
                 insert into counter (tenant, id, version, count) select $1, $2, $3, 1 where {SaveTail.NotYetDone(1)}
                 on conflict do nothing returning id
               ){SaveTail.Sql(1)}
               """
            : $"""
               with u as (
                 update counter set version = version + 1, count = count + 1
                 where tenant = $1 and id = $2 and version = $3 - 1 and {SaveTail.NotYetDone(1)} returning id
               ){SaveTail.Sql(1)}
               """);
        _tail.AddParameters(command.Parameters, change);
        if (on is not null)
        {
            command.Connection = on;
            return await command.ExecuteScalarAsync() is not null;
        }

        await using var connection = await Database.OpenAsync(CancellationToken.None);
        command.Connection = connection;
        var saved = await command.ExecuteScalarAsync() is not null;
        Signal.Committed(change);
        return saved;
    }

    public static EntityChange Change(string tenant, string id, long version, string? commandId, string data) => new()
    {
        Tenant = tenant,
        Kind = "counter",
        Id = id,
        Version = version,
        At = TimeProvider.System.GetUtcNow(),
        Actor = "system:test",
        Action = "counter.count",
        Details = NoDetails,
        CommandId = commandId,
        Events = [new NewEvent(Counted, data)],
    };

    public async Task ExecuteAsync(string sql)
    {
        await using var command = Database.DataSource.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var command = Database.DataSource.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync() ?? throw new InvalidOperationException(sql));
    }

    /// <summary>The version that the next count of this counter makes.</summary>
    public async Task<long> NextVersionAsync(string tenant, string id)
    {
        await using var command = Database.DataSource.CreateCommand("select coalesce(max(version), 0) + 1 from counter where tenant = $1 and id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = id });
        return (long)(await command.ExecuteScalarAsync() ?? 1L);
    }

    public Task<long> PendingAsync() => ScalarAsync<long>("select count(*) from platform.delivery");

    public async ValueTask DisposeAsync()
    {
        await Locks.DisposeAsync();
        await Database.DisposeAsync();
    }

    private Task EnterAsync() =>
        new Migrator(Database, database => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(ConnectionString) { Database = database, Pooling = false }), typeof(TestStore).Assembly, NullLogger<Migrator>.Instance).MigrateAsync(CancellationToken.None);
}
