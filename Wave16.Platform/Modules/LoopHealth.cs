using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>
/// What a background loop does about a failure, whatever it is: it says so, in the log when it begins and in <c>/health</c>
/// for as long as it lasts, and goes on. A loop that had ended would look like one that has nothing to do, or take the
/// process with it and every other module.
/// </summary>
/// <param name="name">As <c>/health</c> calls the loop: <c>vuln-center-jobs</c>.</param>
internal sealed class LoopHealth(string name, DependencyHealth health, ILogger log)
{
    private string? _failure;

    public void Works()
    {
        if (_failure is not null)
        {
            _failure = null;
            health.Report(name, DependencyState.Healthy);
            log.LogInformation("{Loop} works again", name);
        }
    }

    public void Failed(Exception failure)
    {
        var kind = failure switch
        {
            PostgresException refused => refused.SqlState,
            NpgsqlException busy when busy.IsPoolExhausted() => "every connection is in use",
            _ => failure.GetType().Name,
        };
        if (kind == _failure)
        {
            return;
        }

        _failure = kind;
        // A name that does not resolve comes as it is, and not as Npgsql's own exception.
        if (failure is NpgsqlException or SocketException)
        {
            log.LogWarning(failure, "{Loop} cannot use the database; it is tried again", name);
            health.Report(name, DependencyState.Degraded, $"cannot use the database ({kind})");
        }
        else
        {
            log.LogError(failure, "{Loop} failed; it goes on", name);
            health.Report(name, DependencyState.Degraded, $"failed ({kind})");
        }
    }
}
