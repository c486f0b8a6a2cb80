using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Wave16.LocalPostgres;

// A process that owns a server, for tests to kill: [--throw-away] [--shell] <data directory>.
// It writes the server's connection string and then, for each Ctrl-C, whether the server still answers; it ends with its input.
var throwAway = args.Contains("--throw-away");
await using var server = await PostgresServer.StartAsync(
    new LocalPostgresOptions { DataDirectory = args[^1], Durable = !throwAway, WatchThroughShell = args.Contains("--shell") },
    NullLogger.Instance,
    CancellationToken.None);
using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
{
    signal.Cancel = true;
    using var connection = new NpgsqlConnection(server.ConnectionString + ";Pooling=false");
    connection.Open();
    Console.WriteLine($"interrupted, and the server answers as {connection.PostgreSqlVersion.Major}");
});
Console.WriteLine(server.ConnectionString);
while (await Console.In.ReadLineAsync() is not null)
{
    // Nothing is said to us.
}
