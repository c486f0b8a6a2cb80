using Microsoft.Extensions.Logging;

namespace Wave16.Platform.Tests;

/// <summary>Completes when something is logged that contains the text, after what is to be done then.</summary>
internal sealed class LogSignal(string text, Action? then = null) : ILoggerProvider, ILogger
{
    private readonly TaskCompletionSource _seen = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Seen => _seen.Task.WaitAsync(TestContext.Current.CancellationToken);

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (formatter(state, exception).Contains(text, StringComparison.Ordinal))
        {
            then?.Invoke();
            _seen.TrySetResult();
        }
    }

    public void Dispose()
    {
    }
}
