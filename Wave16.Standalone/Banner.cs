using System.Diagnostics;
using Wave16.LocalPostgres;
using Wave16.Neighbours;

namespace Wave16.Standalone;

/// <summary>What a newcomer reads first.</summary>
internal static class Banner
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Waits until everything is ready, then says what runs where and what to try first.</summary>
    public static async Task PrintWhenReadyAsync(WebApplication app, Uri url, PostgresServer postgres, Stopwatch started)
    {
        var readiness = app.Services.GetServices<ServiceDefaults.IReadiness>().ToList();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(app.Lifetime.ApplicationStopping);
        patience.CancelAfter(Patience);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        try
        {
            while (readiness.Exists(part => part.NotReadyBecause is not null))
            {
                await look.WaitForNextTickAsync(patience.Token);
            }
        }
        catch (OperationCanceledException) when (!app.Lifetime.ApplicationStopping.IsCancellationRequested)
        {
            Console.Error.WriteLine("Not ready after a minute; still trying:");
            foreach (var part in readiness.Where(part => part.NotReadyBecause is not null))
            {
                Console.Error.WriteLine($"  {part.Name}: {part.NotReadyBecause}");
            }

            return;
        }
        catch (OperationCanceledException)
        {
            return;
        }

        var root = url.ToString().TrimEnd('/');
        Console.WriteLine($"""

            Wave 16 is up after {started.Elapsed.TotalSeconds:0.0} s.

              Overview       {root}/
              API reference  {root}/scalar
              Health         {root}/health
              Postgres       {postgres.Description}
              Modules        {string.Join(", ", StandaloneHost.Modules.Select(module => module.Name))}
              Neighbours     {root}/neighbours  ({string.Join(", ", NeighboursExtensions.Names)}; stand-ins in this process)

            Try first:

              examples/first-report.sh

            or by hand:

              TOKEN=$(curl -s -X POST {root}/dev/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
              curl -s -H "Authorization: Bearer $TOKEN" '{root}/findings?severity=critical'

            Ctrl-C stops everything.

            """);
    }
}
