using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>
/// Brings the module's schema up, and tries again for as long as that fails: the process stays, reports itself as not
/// ready with the reason, and answers 503. Afterwards it reports whether the database can be reached.
/// </summary>
internal sealed class ModuleStartup(
    ModuleDatabase database, Migrator migrator, ModuleReadiness readiness, DependencyHealth health, TimeProvider clock, ILogger<ModuleStartup> log)
    : BackgroundService
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await MigrateAsync(stoppingToken);
        while (true)
        {
            await LookAsync(stoppingToken);
            await Task.Delay(LookEvery, clock, stoppingToken);
        }
    }

    private async Task MigrateAsync(CancellationToken stoppingToken)
    {
        for (var wait = TimeSpan.FromMilliseconds(500); ; wait = wait < LongestWait / 2 ? wait * 2 : LongestWait)
        {
            try
            {
                await migrator.MigrateAsync(stoppingToken);
                readiness.NotReady("the silo is not there yet");
                await database.WhenReadyAsync(stoppingToken);
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
            catch (Exception failure) when (failure is NpgsqlException or SocketException)
            {
                Report(failure, "the database cannot be reached");
            }
            catch (Exception failure) when (!stoppingToken.IsCancellationRequested)
            {
                // Whatever it was: the process stays, for the other modules too.
                Report(failure, $"it failed ({failure.GetType().Name})");
            }

            await Task.Delay(wait, clock, stoppingToken);
        }
    }

    private async Task LookAsync(CancellationToken cancellation)
    {
        var dependency = $"{database.Module}-db";
        try
        {
            await using var look = database.DataSource.CreateCommand("select 1");
            look.CommandTimeout = 5;
            await look.ExecuteScalarAsync(cancellation);
            health.Report(dependency, DependencyState.Healthy);
        }
        catch (NpgsqlException busy) when (busy.IsPoolExhausted())
        {
            // The server was not asked, so what was known of it stands.
            log.LogWarning("{Module}: every connection is in use", database.Module);
        }
        catch (Exception failure) when (failure is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            if (!health.Reports.Any(report => report.Name == dependency && report.State is DependencyState.Degraded))
            {
                log.LogWarning(failure, "{Module}: the database cannot be reached", database.Module);
            }

            health.Report(dependency, DependencyState.Degraded, "cannot be reached");
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
