using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Wave16.LocalPostgres;

namespace Wave16.Testing;

/// <summary>
/// One throw-away cluster for all tests of an assembly, started when the first of them asks for it. Declare it once,
/// <c>[assembly: AssemblyFixture(typeof(PostgresFixture))]</c>, and take it as a constructor argument.
/// </summary>
public sealed class PostgresFixture : IAsyncDisposable
{
    private readonly Lazy<Task<PostgresServer>> _server = new(() =>
        PostgresServer.StartAsync(new LocalPostgresOptions { Durable = false }, NullLogger.Instance, CancellationToken.None));

    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> _templates = new(StringComparer.Ordinal);
    private int _databases;

    /// <summary>The shared server. A test that stops its server starts one of its own instead.</summary>
    public Task<PostgresServer> ServerAsync() => _server.Value;

    /// <summary>An empty database of the caller's own. Returns its connection string.</summary>
    public async Task<string> CreateDatabaseAsync(CancellationToken cancellationToken)
    {
        var server = await ServerAsync();
        var database = NextName("test");
        await server.EnsureDatabaseAsync(database, cancellationToken);
        return server.ConnectionStringFor(database);
    }

    /// <summary>
    /// A database of the caller's own, copied from a template that <paramref name="migrate"/> fills once per
    /// <paramref name="template"/> name, however many ask at the same time. Returns its connection string.
    /// </summary>
    public async Task<string> CreateDatabaseAsync(string template, Func<string, Task> migrate, CancellationToken cancellationToken)
    {
        var server = await ServerAsync();
        var source = await _templates.GetOrAdd(template, name => new(() => MakeTemplateAsync(server, name, migrate))).Value;
        var database = NextName(template);
        await server.CreateFromTemplateAsync(database, source, cancellationToken);
        return server.ConnectionStringFor(database);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server.IsValueCreated)
            await (await _server.Value).DisposeAsync();
    }

    private static async Task<string> MakeTemplateAsync(PostgresServer server, string name, Func<string, Task> migrate)
    {
        var template = $"{name}_template";
        await server.EnsureDatabaseAsync(template, CancellationToken.None);
        await migrate(server.ConnectionStringFor(template));
        return template;
    }

    private string NextName(string prefix) => $"{prefix}_{Interlocked.Increment(ref _databases)}";
}
