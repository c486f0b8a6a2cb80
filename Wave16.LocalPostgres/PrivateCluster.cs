using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Wave16.LocalPostgres;

/// <summary>A cluster of our own, run by the machine's PostgreSQL binaries on loopback.</summary>
internal sealed class PrivateCluster : IPostgresSource
{
    public const string Owner = "wave16";
    private const int MostPorts = 10, MostRecoveries = 50, MostShortLives = 3;
    private static readonly TimeSpan s_stopPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_shortLife = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_recoveryPause = TimeSpan.FromMilliseconds(100);

    private readonly LocalPostgresOptions _options;
    private readonly PostgresInstallation _installation;
    private readonly ServerAccount _account;
    private readonly ClusterDirectory _directory;
    private readonly ILogger _logger;
    private readonly PostgresLog _log;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private string _password = "";
    private int? _port;
    private Postmaster? _running;
    private Task _watch = Task.CompletedTask;
    private CancellationTokenSource _unwanted = new();
    private int _shortLives;

    public PrivateCluster(LocalPostgresOptions options, PostgresInstallation installation, ServerAccount account, ClusterDirectory directory, ILogger logger)
    {
        (_options, _installation, _account, _directory, _logger) = (options, installation, account, directory, logger);
        _log = new PostgresLog(directory.LogFile);
    }

    public PostgresKind Kind => PostgresKind.Private;

    public string Description => string.Create(
        CultureInfo.InvariantCulture,
        $"private cluster, PostgreSQL {_installation.Version}, port {_port}, {_directory.Root}{(_directory.Remark is { } remark ? $" ({remark})" : "")}");

    public string ConnectionString => new NpgsqlConnectionStringBuilder
    {
        Host = "127.0.0.1",
        Port = _port ?? 0,
        Username = Owner,
        Password = _password,
        Database = "postgres",
        // Loopback: without these two every connection begins with two questions that are answered no.
        SslMode = SslMode.Disable,
        GssEncryptionMode = GssEncryptionMode.Disable,
    }.ConnectionString;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_running is { Exited.IsCompleted: false })
                return;
            await InitialiseAsync(cancellationToken);
            var postmaster = await StartServerAsync(cancellationToken);
            // A watch that still tries by itself ends when it sees this one running.
            if (_unwanted.IsCancellationRequested)
                _unwanted = new CancellationTokenSource();
            _watch = WatchAsync(postmaster, _unwanted.Token);
        }
        finally
        {
            _gate.Release();
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            await _unwanted.CancelAsync();
            await EndAsync(PostmasterSignal.Interrupt);
        }
        finally
        {
            _gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync(CancellationToken.None);
        try
        {
            await _unwanted.CancelAsync();
            await EndAsync(_options.Durable ? PostmasterSignal.Interrupt : PostmasterSignal.Quit);
        }
        finally
        {
            _gate.Release();
        }
        await _watch;
        _unwanted.Dispose();
        _log.Dispose();
        if (_options.Durable)
            _directory.Dispose();
        else
            _directory.Remove();
    }

    /// <summary>Starts the server again when it ends without our asking, unless it keeps doing so.</summary>
    private async Task WatchAsync(Postmaster postmaster, CancellationToken unwanted)
    {
        for (var watched = postmaster; watched is not null; watched = await StartAgainAsync(unwanted))
        {
            var started = Stopwatch.GetTimestamp();
            await watched.Exited;
            await _gate.WaitAsync(CancellationToken.None);
            try
            {
                if (_running != watched)
                    return;
                _running = null;
                _shortLives = Stopwatch.GetElapsedTime(started) < s_shortLife ? _shortLives + 1 : 0;
                _logger.LogError("PostgreSQL in {Directory} ended by itself. It said:{NewLine}{Log}", _directory.Root, Environment.NewLine, _log);
                if (_shortLives > MostShortLives)
                {
                    _logger.LogCritical("PostgreSQL in {Directory} keeps ending and is left stopped", _directory.Root);
                    return;
                }
            }
            finally
            {
                _gate.Release();
            }
        }
    }

    /// <summary>Tries until the server runs: a full disk is made room on, and nobody should have to restart us for that.</summary>
    /// <returns>Null when it is no longer wanted, or somebody else has started it.</returns>
    private async Task<Postmaster?> StartAgainAsync(CancellationToken unwanted)
    {
        for (var isFirst = true; ; isFirst = false)
        {
            await _gate.WaitAsync(CancellationToken.None);
            try
            {
                if (unwanted.IsCancellationRequested || _running is not null)
                    return null;
                var postmaster = await StartServerAsync(CancellationToken.None);
                _logger.LogInformation("PostgreSQL started again: {Description}", Description);
                return postmaster;
            }
            catch (Exception failure) when (failure is PostgresUnavailableException or IOException or Win32Exception)
            {
                _running = null;
                if (isFirst)
                    _logger.LogCritical(failure, "PostgreSQL in {Directory} cannot be started again; it is tried every {Pause}", _directory.Root, _options.StartAgainAfter);
            }
            finally
            {
                _gate.Release();
            }
            await Task.Delay(_options.StartAgainAfter, unwanted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task InitialiseAsync(CancellationToken cancellationToken)
    {
        if (Directory.Exists(_directory.Data))
        {
            _password = await _directory.ReadPasswordAsync(cancellationToken)
                ?? throw new PostgresUnavailableException($"{_directory.PasswordFile} is missing, and without it nobody can connect to the data beside it. Restore the file, or move {_directory.Root} away to start empty.");
            return;
        }

        _password = await _directory.WritePasswordAsync(cancellationToken);
        _account.Own(_directory.PasswordFile);

        var unfinished = _directory.NewUnfinished();
        Directory.CreateDirectory(unfinished);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(unfinished, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _account.Own(unfinished);
        string[] arguments =
        [
            "-D", unfinished, "-U", Owner, $"--pwfile={_directory.PasswordFile}", "--auth=scram-sha-256", "--encoding=UTF8", .. LocaleArguments(),
            .. _options.Durable ? Array.Empty<string>() : ["--no-sync"],
        ];
        var initdb = await Command.RunAsync(_account.Start(_installation.Program("initdb"), arguments), cancellationToken);
        if (initdb.ExitCode != 0)
        {
            foreach (var line in initdb.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                _log.Add(line.TrimEnd());
            throw ServerFailure.From("initdb could not create the cluster", _directory, _log.ToString());
        }
        Directory.Move(unfinished, _directory.Data);
    }

    /// <summary>Text sorts by code point and knows upper and lower case beyond ASCII, on every system alike.</summary>
    private IEnumerable<string> LocaleArguments() => this switch
    {
        { _installation.Major: >= 17 } => ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
        _ when OperatingSystem.IsMacOS() => ["--locale=C", "--lc-ctype=UTF-8"],
        _ when OperatingSystem.IsWindows() => ["--locale=C"],
        _ => ["--locale=C", "--lc-ctype=C.UTF-8"],
    };

    private async Task<Postmaster> StartServerAsync(CancellationToken cancellationToken)
    {
        var fixedPort = _port;
        var port = fixedPort ?? await PreferredPortAsync(cancellationToken);
        for (var (ports, recoveries) = (1, 0); ;)
        {
            _log.StartOver();
            var postmaster = await Postmaster.LaunchAsync(ServerCommand(port), _log);
            _running = postmaster;
            try
            {
                await Task.WhenAny(postmaster.Ready, postmaster.Exited).WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                await EndAsync(PostmasterSignal.Quit);
                throw;
            }
            if (postmaster.Ready.IsCompleted)
            {
                _port = port;
                if (_options.Durable)
                    await _directory.WritePortAsync(port, cancellationToken);
                return postmaster;
            }

            if (_log.Says("could not create any TCP/IP sockets") && fixedPort is null && ports++ < MostPorts)
            {
                port = LoopbackPort.Choose(_options.Durable);
            }
            else if (_log.Says("\"postmaster.pid\" already exists") && recoveries++ < MostRecoveries)
            {
                await StaleServer.ClearAsync(_directory, _installation, _account, cancellationToken);
            }
            else if (_log.Says("pre-existing shared memory block") && recoveries++ < MostRecoveries)
            {
                // The backends of a killed postmaster are on their way out.
                await Task.Delay(s_recoveryPause, cancellationToken);
            }
            else
            {
                _running = null;
                throw ServerFailure.From("PostgreSQL did not start", _directory, _log.ToString());
            }
        }
    }

    private async Task<int> PreferredPortAsync(CancellationToken cancellationToken) =>
        await _directory.ReadPortAsync(cancellationToken) is { } last && LoopbackPort.IsFree(last) ? last : LoopbackPort.Choose(_options.Durable);

    private ProcessStartInfo ServerCommand(int port)
    {
        var settings = ServerSettings.For(_options, port);
        var program = _installation.Program("postgres");
        string[] arguments = ["-D", _directory.Data, .. settings.SelectMany(setting => new[] { "-c", $"{setting.Key}={setting.Value}" })];
        if (OperatingSystem.IsWindows())
            return _account.Start(program, arguments);
        return WatchedByShell
            ? _account.StartServerUnderShell(program, arguments)
            : _account.StartServer(program, arguments, _options.Durable ? "INT" : "QUIT");
    }

    private bool WatchedByShell => _options.WatchThroughShell || !_account.HasParentDeathSignal;

    private async Task EndAsync(PostmasterSignal signal)
    {
        if (_running is not { } postmaster)
            return;
        _running = null;
        foreach (var next in new[] { signal, PostmasterSignal.Quit, PostmasterSignal.Kill })
        {
            if (postmaster.Exited.IsCompleted)
                return;
            await SendAsync(postmaster, next);
            if (await Task.WhenAny(postmaster.Exited, Task.Delay(s_stopPatience, CancellationToken.None)) == postmaster.Exited)
                return;
            _logger.LogWarning("PostgreSQL in {Directory} has not stopped within {Patience}", _directory.Root, s_stopPatience);
        }
    }

    private async Task SendAsync(Postmaster postmaster, PostmasterSignal signal)
    {
        if (OperatingSystem.IsWindows())
        {
            await PgCtl.StopAsync(_installation, _account, _directory.Data, postmaster.ProcessId, signal, CancellationToken.None);
        }
        else if (!WatchedByShell)
        {
            Postmaster.Signal(postmaster.ProcessId, signal);
        }
        else
        {
            if (signal != PostmasterSignal.Interrupt && StaleServer.ProcessOf(_directory) is { } server)
                Postmaster.Signal(server, signal);
            postmaster.LetGo();
        }
    }
}
