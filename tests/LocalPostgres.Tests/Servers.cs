using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Wave16.LocalPostgres.Tests;

internal static class Servers
{
    /// <summary>A durable cluster, with fsync off unless asked for: no test here pulls the plug.</summary>
    public static Task<PostgresServer> StartAsync(string directory, Func<LocalPostgresOptions, LocalPostgresOptions>? change = null, ILogger? logger = null)
    {
        var options = new LocalPostgresOptions { DataDirectory = directory, Settings = new Dictionary<string, string> { ["fsync"] = "off" } };
        return PostgresServer.StartAsync(change?.Invoke(options) ?? options, logger ?? NullLogger.Instance, TestContext.Current.CancellationToken);
    }

    public static async Task<Process> PostmasterAsync(string connectionString) =>
        Process.GetProcessById(int.Parse(
            Assert.IsType<string>(await connectionString.ScalarAsync("select split_part(pg_read_file('postmaster.pid'), chr(10), 1)", TestContext.Current.CancellationToken)),
            CultureInfo.InvariantCulture));
}

/// <summary>Completes when a message that contains a text is logged.</summary>
internal sealed class AwaitedMessage(string text) : ILogger
{
    private readonly TaskCompletionSource<string> _seen = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<string> Seen => _seen.Task.WaitAsync(TestContext.Current.CancellationToken);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        var message = formatter(state, exception);
        if (message.Contains(text, StringComparison.Ordinal))
            _seen.TrySetResult(message);
    }
}

/// <summary>Kills the server of a directory each time it says that it has started again.</summary>
internal sealed class KillOnEveryStart(string root, ILogger next) : ILogger
{
    public static void Kill(string root)
    {
        using var postmaster = Process.GetProcessById(int.Parse(File.ReadLines(Path.Combine(root, "data", "postmaster.pid")).First(), CultureInfo.InvariantCulture));
        postmaster.Kill();
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (formatter(state, exception).Contains("started again", StringComparison.Ordinal))
            Kill(root);
        next.Log(logLevel, eventId, state, exception, formatter);
    }
}
