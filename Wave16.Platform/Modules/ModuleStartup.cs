using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Modules;

/// <summary>
/// Brings the module's schema up, and tries again for as long as that fails: the process stays, reports itself as not
/// ready with the reason, and answers 503.
/// </summary>
internal sealed class ModuleStartup(ModuleDatabase database, Migrator migrator, ModuleReadiness readiness, TimeProvider clock, ILogger<ModuleStartup> log)
    : BackgroundService
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(15);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var wait = TimeSpan.FromMilliseconds(500); ; wait = wait < LongestWait / 2 ? wait * 2 : LongestWait)
        {
            try
            {
                await migrator.MigrateAsync(stoppingToken);
                readiness.Ready();
                log.LogInformation("{Module}: the schema is up, store epoch {Epoch}", database.Module, database.Epoch.Number);
                return;
            }
            catch (MigrationFailedException failure)
            {
                Report(failure, $"migration {failure.Script} failed");
            }
            catch (PostgresException failure)
            {
                Report(failure, $"the database refuses ({failure.SqlState})");
            }
            catch (NpgsqlException failure)
            {
                Report(failure, "the database cannot be reached");
            }

            await Task.Delay(wait, clock, stoppingToken);
        }
    }

    // What goes to /health names no host and quotes no SQL; the log has all of it, once and not every few seconds.
    private void Report(Exception failure, string because)
    {
        if (readiness.NotReadyBecause != because)
        {
            log.LogError(failure, "{Module}: not ready, {Reason}. {Failure}", database.Module, because, failure.Message);
        }

        readiness.NotReady(because);
    }
}
