using System.Reflection;
using System.Runtime.ExceptionServices;
using DbUp;
using DbUp.Engine;
using DbUp.Postgresql;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Retention;

namespace Wave16.Platform.Store;

/// <summary>
/// Brings a module's database up: creates it where the server allows, applies Platform's and the module's numbered scripts
/// under an advisory lock, one transaction each, for as long as it holds the lock, and reads which epoch the store is in.
/// </summary>
/// <remarks>Scripts only go forward. A schema that is newer than this code (the release before, started again) is left as it is.</remarks>
public sealed class Migrator
{
    private const long LockKey = 0x57_41_56_45_31_36; // "WAVE16"
    private readonly ModuleDatabase _database;
    private readonly Assembly _scripts;
    private readonly ILogger<Migrator> _log;
    private readonly Func<string, NpgsqlDataSource> _connections;
    private readonly Partitions? _partitions;

    /// <param name="database">The module's.</param>
    /// <param name="connections">Unpooled ones to a database of the same server: the module's, and <c>postgres</c> to create it from.</param>
    /// <param name="scripts">Where the module's are embedded.</param>
    /// <param name="log">Says what was applied.</param>
    /// <param name="partitions">Made before the module is ready.</param>
    internal Migrator(ModuleDatabase database, Func<string, NpgsqlDataSource> connections, Assembly scripts, ILogger<Migrator> log, Partitions? partitions = null)
    {
        _partitions = partitions;
        _database = database;
        _connections = connections;
        _scripts = scripts;
        _log = log;
    }

    /// <exception cref="NpgsqlException">The server cannot be reached, or the lock was lost; the scripts before that are applied.</exception>
    /// <exception cref="MigrationFailedException">A script failed; those before it are applied.</exception>
    public async Task MigrateAsync(CancellationToken cancellation)
    {
        await using (var lockConnection = await OpenOrCreateAsync(cancellation))
        {
            await using (var acquire = new NpgsqlCommand("select pg_advisory_lock($1)", lockConnection) { CommandTimeout = 0 })
            {
                acquire.Parameters.Add(new NpgsqlParameter<long> { TypedValue = LockKey });
                await acquire.ExecuteNonQueryAsync(cancellation);
            }

            await using (var journal = new NpgsqlCommand("create schema if not exists platform", lockConnection))
            {
                await journal.ExecuteNonQueryAsync(cancellation);
            }

            await ApplyAsync(lockConnection, typeof(Migrator).Assembly, "platform/", "platform", cancellation);
            await ApplyAsync(lockConnection, _scripts, _database.Module + "/", _database.Module, cancellation);
            await MakePartitionsAsync(cancellation);
        }

        await using var read = _database.DataSource.CreateCommand("select epoch, token from platform.epoch order by epoch desc limit 1");
        await using var reader = await read.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            throw new MigrationFailedException(_database.Module, "(epoch)", new InvalidOperationException("platform.epoch is empty: a restore inserts its new epoch there."));
        }

        _database.Enter(new StoreEpoch(reader.GetInt32(0), reader.GetString(1)));
    }

    // What is still missing afterwards is made by the housekeeping; the default partitions bear it.
    private async Task MakePartitionsAsync(CancellationToken cancellation)
    {
        for (var tries = 3; _partitions is not null && tries > 0 && !await _partitions.MakeAsync(cancellation); tries--)
        {
            _log.LogInformation("{Module}: partitions are missing", _database.Module);
        }
    }

    private async Task<NpgsqlConnection> OpenOrCreateAsync(CancellationToken cancellation)
    {
        try
        {
            return await _database.OpenLockConnectionAsync(cancellation);
        }
        catch (PostgresException missing) when (missing.SqlState == PostgresErrorCodes.InvalidCatalogName)
        {
            await CreateDatabaseAsync(cancellation);
            return await _database.OpenLockConnectionAsync(cancellation);
        }
    }

    private async Task CreateDatabaseAsync(CancellationToken cancellation)
    {
        var name = DatabaseName();
        await using var connections = _connections("postgres");
        await using var server = await connections.OpenConnectionAsync(cancellation);
        await using var create = new NpgsqlCommand($"create database \"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"", server);
        try
        {
            await create.ExecuteNonQueryAsync(cancellation);
            _log.LogInformation("{Module}: created database {Database}", _database.Module, name);
        }
        catch (PostgresException raced) when (raced.SqlState is PostgresErrorCodes.DuplicateDatabase or PostgresErrorCodes.UniqueViolation)
        {
            _log.LogDebug(raced, "{Module}: another process created the database first", _database.Module);
        }
    }

    private async Task ApplyAsync(NpgsqlConnection lockConnection, Assembly assembly, string prefix, string journal, CancellationToken cancellation)
    {
        await using var connections = _connections(DatabaseName());
        foreach (var script in Engine(connections, Scripts(assembly, prefix), journal).GetScriptsToExecute())
        {
            // A script runs to its end, whatever happens meanwhile; the next one only if we may still go on.
            cancellation.ThrowIfCancellationRequested();
            await using (var held = new NpgsqlCommand("select 1", lockConnection))
            {
                await held.ExecuteScalarAsync(cancellation);
            }

            Apply(Engine(connections, [script], journal));
        }
    }

    private string DatabaseName() => new NpgsqlConnectionStringBuilder(_database.DataSource.ConnectionString).Database
        ?? throw new InvalidOperationException($"The connection string of {_database.Module} names no database.");

    // Script names are the resources' logical names, so that a namespace renamed later re-runs nothing.
    private static UpgradeEngine Engine(NpgsqlDataSource connections, IEnumerable<SqlScript> scripts, string journal) =>
        DeployChanges.To
            .PostgresqlDatabase(new PostgresqlConnectionManager(connections))
            .WithScripts(scripts)
            .JournalToPostgresqlTable("platform", $"schema_version_{journal.Replace('-', '_')}")
            .WithTransactionPerScript()
            .WithVariablesDisabled()
            .WithExecutionTimeout(TimeSpan.FromMinutes(30))
            .LogToNowhere()
            .Build();

    private void Apply(UpgradeEngine script)
    {
        var result = script.PerformUpgrade();
        foreach (var applied in result.Scripts)
        {
            _log.LogInformation("{Module}: applied {Script}", _database.Module, applied.Name);
        }

        if (result.Error is NpgsqlException and not PostgresException)
        {
            ExceptionDispatchInfo.Throw(result.Error);
        }

        if (!result.Successful)
        {
            throw new MigrationFailedException(_database.Module, result.ErrorScript?.Name ?? "(none)", result.Error);
        }
    }

    private static IEnumerable<SqlScript> Scripts(Assembly assembly, string prefix)
    {
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var stream = assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException(name);
            using var reader = new StreamReader(stream);
            yield return new SqlScript(name, reader.ReadToEnd());
        }
    }
}

/// <summary>A migration script could not be applied.</summary>
public sealed class MigrationFailedException(string module, string script, Exception cause)
    : Exception($"{module}: migration {script} failed: {cause.Message}", cause)
{
    public string Script { get; } = script;
}
