using System.ComponentModel;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Wave16.LocalPostgres;

/// <summary>
/// A PostgreSQL server for this process: the one that was given, or else a private cluster, or else a container.
/// A private cluster ends with us, however we end; but on Windows, where nothing tells a child that its parent was killed,
/// it then goes on until the next start in its directory, which stops it. A durable container can outlive us too; the next
/// start finds it by its name.
/// </summary>
public sealed class PostgresServer : IAsyncDisposable
{
    private readonly IPostgresSource? _source;
    private readonly string _given;
    private bool _disposed;

    private PostgresServer(IPostgresSource? source, string given) => (_source, _given) = (source, given);

    public PostgresKind Kind => _source?.Kind ?? PostgresKind.Given;

    /// <summary>The owner's connection to the database <c>postgres</c>, or what was given.</summary>
    public string ConnectionString => _source?.ConnectionString ?? _given;

    /// <summary>What runs where, in one line without secrets.</summary>
    public string Description => _source?.Description ?? DescribeGiven(_given);

    /// <exception cref="PostgresUnavailableException">There is no server to be had; the message says what to do.</exception>
    public static async Task<PostgresServer> StartAsync(LocalPostgresOptions options, ILogger logger, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!string.IsNullOrWhiteSpace(options.ConnectionString))
            return new(null, Wellformed(options.ConnectionString));
        if (options.Durable && string.IsNullOrWhiteSpace(options.DataDirectory))
            throw new ArgumentException("A durable cluster needs a data directory.", nameof(options));

        try
        {
            var source = await ChooseAsync(options, logger, cancellationToken);
            try
            {
                await source.StartAsync(cancellationToken);
            }
            catch
            {
                await source.DisposeAsync();
                throw;
            }
            logger.LogInformation("PostgreSQL: {Description}", source.Description);
            return new(source, "");
        }
        catch (Win32Exception failure)
        {
            throw new PostgresUnavailableException($"PostgreSQL's programs cannot be run: {failure.Message}", failure);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new PostgresUnavailableException($"PostgreSQL's files cannot be kept in {(options.Durable ? options.DataDirectory : Path.GetTempPath())}: {failure.Message}", failure);
        }
    }

    /// <summary>The same server and owner, another database.</summary>
    public string ConnectionStringFor(string database) =>
        new NpgsqlConnectionStringBuilder(ConnectionString) { Database = database }.ConnectionString;

    /// <summary>Creates an empty database unless it exists.</summary>
    public async Task EnsureDatabaseAsync(string database, CancellationToken cancellationToken)
    {
        await using var connection = await ConnectAsync(cancellationToken);
        await using var exists = new NpgsqlCommand("select 1 from pg_database where datname = $1", connection) { Parameters = { new() { Value = database } } };
        if (await exists.ExecuteScalarAsync(cancellationToken) is not null)
            return;
        try
        {
            await using var create = new NpgsqlCommand($"create database {Quote(database)}", connection);
            await create.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException failure) when (failure.SqlState is PostgresErrorCodes.DuplicateDatabase or PostgresErrorCodes.UniqueViolation)
        {
            // Another connection created it since we looked.
        }
    }

    /// <summary>
    /// Creates a database as a copy of another, which is closed to new connections and whose sessions are ended,
    /// because PostgreSQL copies no database in use.
    /// </summary>
    public async Task CreateFromTemplateAsync(string database, string template, CancellationToken cancellationToken)
    {
        await using var connection = await ConnectAsync(cancellationToken);
        // Two at a time would fail with "tuple concurrently updated".
        await using (var queue = new NpgsqlCommand("select pg_advisory_lock(hashtextextended('wave16 template', 0))", connection))
            await queue.ExecuteNonQueryAsync(cancellationToken);
        await using (var isOpen = new NpgsqlCommand("select datallowconn from pg_database where datname = $1", connection) { Parameters = { new() { Value = template } } })
        {
            if (await isOpen.ExecuteScalarAsync(cancellationToken) is true)
                await CloseAsync(connection, template, cancellationToken);
        }
        await using (var next = new NpgsqlCommand("select pg_advisory_unlock_all()", connection))
            await next.ExecuteNonQueryAsync(cancellationToken);
        await using var create = new NpgsqlCommand($"create database {Quote(database)} template {Quote(template)}", connection);
        await create.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Stops the server, as an outage would; its data and its port stay.</summary>
    /// <exception cref="InvalidOperationException">The server was given; it is not ours to stop.</exception>
    public Task StopAsync(CancellationToken cancellationToken) => Ours().StopAsync(cancellationToken);

    /// <summary>Starts a stopped server on the same port.</summary>
    /// <exception cref="InvalidOperationException">The server was given; it is not ours to start.</exception>
    public Task StartAgainAsync(CancellationToken cancellationToken) => Ours().StartAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (_source is not null && !Interlocked.Exchange(ref _disposed, true))
            await _source.DisposeAsync();
    }

    private static async Task<IPostgresSource> ChooseAsync(LocalPostgresOptions options, ILogger logger, CancellationToken cancellationToken)
    {
        var installed = await PostgresInstallation.FindAllAsync(options.BinaryFolders, cancellationToken);
        var usable = installed.Where(i => i.Major >= PostgresInstallation.OldestMajor).ToList();
        var engine = usable.Count == 0 && options.AllowContainer ? ContainerCluster.FindEndpoint() : null;
        if (usable.Count == 0 && engine is null)
            throw PostgresUnavailableException.NothingToRun(installed, options.AllowContainer);

        var account = engine is null ? await ServerAccount.CurrentAsync(cancellationToken) : ServerAccount.Ours;
        var fallback = options.FallbackFolder ?? FallbackFolder();
        var directory = options.Durable
            ? await ClusterDirectory.ClaimAsync(options.DataDirectory ?? "", fallback, account, cancellationToken)
            : await ClusterDirectory.ClaimTemporaryAsync(fallback, account, logger, cancellationToken);
        try
        {
            if (directory.Remark is { } remark)
                logger.LogWarning("{Remark}; PostgreSQL keeps its data in {Directory}", remark, directory.Root);
            var installation = await FitAsync(directory, usable, cancellationToken);
            return engine is null
                ? new PrivateCluster(options, installation ?? usable[0], account, directory, logger)
                : new ContainerCluster(options, directory, engine);
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    /// <summary>The installation that made the data there, because no other major version can read them; null when there are none.</summary>
    private static async Task<PostgresInstallation?> FitAsync(ClusterDirectory directory, List<PostgresInstallation> usable, CancellationToken cancellationToken)
    {
        var versionFile = Path.Combine(directory.Data, "PG_VERSION");
        if (!File.Exists(versionFile))
            return null;
        var made = (await File.ReadAllTextAsync(versionFile, cancellationToken)).Trim();
        return usable.Find(i => $"{i.Major}" == made) ?? throw PostgresUnavailableException.OtherMajor(directory.Data, made, usable);
    }

    /// <summary>Where services, or else the user's programs, keep their state (FHS 3.0, XDG Base Directory).</summary>
    private static string FallbackFolder() =>
        !OperatingSystem.IsWindows() && Environment.IsPrivilegedProcess
            ? "/var/lib/wave16"
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "wave16");

    private static string Wellformed(string connectionString)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(connectionString).ConnectionString;
        }
        catch (ArgumentException malformed)
        {
            throw new PostgresUnavailableException($"The connection string given for PostgreSQL is malformed: {malformed.Message}", malformed);
        }
    }

    private static string DescribeGiven(string connectionString)
    {
        var given = new NpgsqlConnectionStringBuilder(connectionString);
        return $"the given server, {given.Host}, port {given.Port}";
    }

    private static string Quote(string identifier)
    {
        using var builder = new NpgsqlCommandBuilder();
        return builder.QuoteIdentifier(identifier);
    }

    private async Task<NpgsqlConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(ConnectionString) { Pooling = false }.ConnectionString);
        try
        {
            await connection.OpenAsync(cancellationToken);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static async Task CloseAsync(NpgsqlConnection connection, string template, CancellationToken cancellationToken)
    {
        await using var close = new NpgsqlCommand($"alter database {Quote(template)} allow_connections false", connection);
        await close.ExecuteNonQueryAsync(cancellationToken);
        await using var end = new NpgsqlCommand("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", connection) { Parameters = { new() { Value = template } } };
        await end.ExecuteNonQueryAsync(cancellationToken);
    }

    private IPostgresSource Ours() =>
        _source ?? throw new InvalidOperationException("This server was given to us; it is not ours to stop or start.");
}
