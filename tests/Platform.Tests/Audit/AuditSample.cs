using Npgsql;
using Wave16.Platform.Audit;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;

namespace Wave16.Platform.Tests.Audit;

/// <summary>A replica of the sample module whose background work is not started: the test says when to seal.</summary>
internal sealed class AuditSample : IAsyncDisposable
{
    private readonly SampleHost _host;

    private AuditSample(SampleHost host, string connectionString) => (_host, ConnectionString) = (host, connectionString);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public string ConnectionString { get; }

    public SampleHost Host => _host;

    public ModuleDatabase Database => _host.Database;

    public Sealer Sealer => _host.Get<Sealer>();

    public LogTree Tree => _host.Get<LogTree>();

    public AuditReader Reader => _host.Get<AuditReader>();

    public TicketStore Tickets => new(Database, _host.Get<SaveTail>());

    public static async Task<AuditSample> StartAsync(AuditCluster cluster, TimeProvider? clock = null, Action<ModuleBuilder>? services = null) =>
        await OpenAsync(await SampleModule.DatabaseAsync(cluster.Postgres), clock, services);

    public static async Task<AuditSample> OpenAsync(
        string connectionString, TimeProvider? clock = null, Action<ModuleBuilder>? services = null, params (string Key, string Value)[] settings)
    {
        var host = SampleHost.Build(connectionString, clock ?? TimeProvider.System, services ?? (_ => { }), settings: settings);
        await host.Get<Migrator>().MigrateAsync(Cancellation);
        return new AuditSample(host, connectionString);
    }

    /// <summary>Seals all that is committed, also when the server's own work (autovacuum) holds it up for a moment.</summary>
    public async Task<long> SealAsync()
    {
        var appended = await Sealer.SealPendingAsync(Cancellation);
        while (await ScalarAsync<bool>("select exists (select from platform.audit_leaf l where not exists (select from platform.audit_entry e where e.leaf_id = l.id))"))
            appended += await Sealer.SealPendingAsync(Cancellation);
        return appended;
    }

    public Task<AuditReport> VerifyAsync(string tenant = "acme") => _host.Get<AuditVerifier>().VerifyAsync(tenant, Cancellation);

    /// <summary>Saves versions of a ticket, each of which names the one before in its leaf.</summary>
    public async Task SaveAsync(string id, int versions, string tenant = "acme", long from = 1)
    {
        ReadOnlyMemory<byte>? previous = from == 1 ? null : (await Tickets.FindAsync(tenant, id, Cancellation))?.AuditHash;
        for (var version = from; version < from + versions; version++)
        {
            var change = TicketStore.Change(id, version) with { Tenant = tenant, PreviousAuditHash = previous };
            previous = Assert.IsType<SaveOutcome.Saved>(await Tickets.SaveAsync($"title {version}", change, Cancellation)).AuditHash;
        }
    }

    /// <summary>Writes a leaf of an entity of its own in the caller's transaction.</summary>
    public async Task InsertLeafAsync(NpgsqlConnection connection, string id, string tenant = "acme")
    {
        var change = TicketStore.Change(id, 1) with { Tenant = tenant };
        var canonical = AuditLeaf.Canonical(change);
        await using var command = new NpgsqlCommand("""
            insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
            values ($1, $2, $3, 1, $4, $5, $6, $7, $8)
            """, connection);
        command.Parameters.AddRange(new NpgsqlParameter[]
        {
            new() { Value = Database.Epoch.Number }, new() { Value = tenant }, new() { Value = change.EntityKey }, new() { Value = change.At },
            new() { Value = change.Actor }, new() { Value = change.Action }, new() { Value = canonical }, new() { Value = AuditLeaf.Hash(canonical) },
        });
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    /// <summary>Many leaves at once, hashed in SQL, each of an entity of its own: <c>bulk/from</c> up to <c>bulk/to</c>.</summary>
    public Task InsertLeavesAsync(int from, int to) => ExecuteAsync($$"""
        insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
        select {{Database.Epoch.Number}}, 'acme', 'bulk/' || i, 1, '2026-03-01T12:00:00Z', 'ann', 'bulk.add', c.canonical, sha256('\x00'::bytea || convert_to(c.canonical, 'UTF8'))
        from generate_series({{from}}, {{to}}) i, lateral (
          select '{"tenant":"acme","entity":"bulk/' || i || '","version":1,"at":"2026-03-01T12:00:00+00:00","actor":"ann","action":"bulk.add","details":{},"prev":""}' as canonical) c
        """);

    public async Task ExecuteAsync(string sql)
    {
        await using var command = Database.DataSource.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var command = Database.DataSource.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync(Cancellation) ?? throw new InvalidOperationException(sql));
    }

    public async Task<List<byte[]>> HashesAsync()
    {
        var hashes = new List<byte[]>();
        await using var command = Database.DataSource.CreateCommand("select hash from platform.audit_entry order by seq");
        await using var reader = await command.ExecuteReaderAsync(Cancellation);
        while (await reader.ReadAsync(Cancellation))
            hashes.Add(reader.GetFieldValue<byte[]>(0));
        return hashes;
    }

    public ValueTask DisposeAsync() => _host.DisposeAsync();
}
