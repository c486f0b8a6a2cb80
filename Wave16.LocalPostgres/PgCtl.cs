namespace Wave16.LocalPostgres;

/// <summary>How a server is asked to stop where there are no signals: pg_ctl writes to a pipe that the server listens to.</summary>
internal static class PgCtl
{
    /// <summary>Asks; whether the server ends is for the caller to see. One that is to be killed is killed, with its backends.</summary>
    /// <exception cref="PostgresUnavailableException">The process is not ours to kill.</exception>
    public static async Task StopAsync(
        PostgresInstallation installation, ServerAccount account, string dataDirectory, int processId, PostmasterSignal signal, CancellationToken cancellationToken)
    {
        if (signal is PostmasterSignal.Kill)
        {
            Postmaster.Kill(processId);
            return;
        }
        var mode = signal is PostmasterSignal.Interrupt ? "fast" : "immediate";
        await Command.RunAsync(
            account.Start(installation.Program("pg_ctl"), ["stop", "--pgdata", dataDirectory, "--mode", mode, "--no-wait"]), cancellationToken);
    }
}
