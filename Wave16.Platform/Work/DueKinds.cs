using Microsoft.Extensions.DependencyInjection;

namespace Wave16.Platform.Work;

/// <summary>The kinds of deadline a module knows. Rows of other kinds (of a newer release) are left alone.</summary>
internal sealed class DueKinds
{
    private readonly Dictionary<string, Func<IServiceProvider, IDueHandler>> _handlers = new(StringComparer.Ordinal);

    public string[] Names => [.. _handlers.Keys];

    public void Add<THandler>(string kind)
        where THandler : class, IDueHandler => _handlers.Add(kind, static scope => scope.GetRequiredService<THandler>());

    public async Task HandleAsync(IServiceProvider services, DueItem item, CancellationToken cancellation)
    {
        await using var scope = services.CreateAsyncScope();
        await _handlers[item.Kind](scope.ServiceProvider).HandleAsync(item, cancellation);
    }
}
