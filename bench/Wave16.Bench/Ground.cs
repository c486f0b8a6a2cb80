using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Wave16.LocalPostgres;

namespace Wave16.Bench;

/// <summary>What the benchmarks stand on: a PostgreSQL of their own whose commits reach the disk, in a folder that is removed at the end.</summary>
internal sealed class Ground : IAsyncDisposable
{
    public const int Rounds = 5;

    private readonly PostgresServer _server;
    private readonly DirectoryInfo _folder;

    private Ground(PostgresServer server, DirectoryInfo folder, string machineClass) => (_server, _folder, MachineClass) = (server, folder, machineClass);

    public string MachineClass { get; }

    public string Folder => _folder.FullName;

    public static async Task<Ground> StartAsync(CancellationToken cancellation)
    {
        var folder = Directory.CreateTempSubdirectory("wave16-bench-");
        if (!OperatingSystem.IsWindows())
        {
            // The account that Postgres runs under must reach its own folder below this one.
            folder.UnixFileMode |= UnixFileMode.OtherExecute | UnixFileMode.GroupExecute;
        }

        var server = await PostgresServer.StartAsync(
            new LocalPostgresOptions { Durable = true, DataDirectory = Path.Combine(folder.FullName, "postgres") }, NullLogger.Instance, cancellation);
        await using var connection = new NpgsqlConnection(server.ConnectionString);
        await connection.OpenAsync(cancellation);
        await using var show = new NpgsqlCommand("show shared_buffers", connection);
        var buffers = await show.ExecuteScalarAsync(cancellation);
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1L << 30);
        return new Ground(
            server, folder,
            $"{Environment.ProcessorCount} cores, {memory:F0} GiB, PostgreSQL {connection.PostgreSqlVersion} (fsync on, shared_buffers {buffers}), .NET {Environment.Version}, client, server and database on one machine");
    }

    public async Task<string> DatabaseAsync(string name, CancellationToken cancellation)
    {
        await _server.EnsureDatabaseAsync(name, cancellation);
        return _server.ConnectionStringFor(name);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}
