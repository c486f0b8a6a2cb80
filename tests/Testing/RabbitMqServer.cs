using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Wave16.Testing;

/// <summary>
/// A RabbitMQ node of the caller's own, with AMQP 1.0 and the management API, on loopback: its ports, data, cookie, port mapper and
/// name are its own, and it ends with the process that started it. What it held is gone when it is disposed of.
/// </summary>
public sealed partial class RabbitMqServer : IAsyncDisposable
{
    private const string User = "tests";
    private const string Password = "tests";
    private const string Scripts = "/usr/lib/rabbitmq/bin";
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StopWithin = TimeSpan.FromSeconds(20);

    private readonly string _folder = Path.Combine("/var/tmp", $"wave16-rabbitmq-{Guid.NewGuid():N}");
    private readonly string _node = $"wave16-{Guid.NewGuid():N}@localhost";
    private readonly int[] _ports = FreePorts(4);
    private readonly HttpClient _api;
    private ChildProcess? _mapper;
    private ChildProcess? _broker;

    private RabbitMqServer()
    {
        _api = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{ManagementPort}/api/") };
        _api.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes($"{User}:{Password}")));
    }

    /// <summary>Null when it can be started here; otherwise what is missing.</summary>
    public static string? MissingBecause { get; } =
        !OperatingSystem.IsLinux() ? "the broker is started only on Linux"
        : !File.Exists($"{Scripts}/rabbitmq-server") ? "there is no RabbitMQ here: apt-get install --no-install-recommends rabbitmq-server"
        : !File.Exists("/usr/bin/setpriv") ? "there is no setpriv (util-linux)"
        : null;

    /// <summary>Whether a test that needs the broker is to be skipped; in CI it is not, and fails.</summary>
    public static bool IsMissing => MissingBecause is not null && Environment.GetEnvironmentVariable("CI") is not "true";

    public int Port => _ports[0];

    private int ManagementPort => _ports[1];

    /// <summary><c>amqp://…</c> of a virtual host, as <c>ConnectionStrings:messaging</c> takes it.</summary>
    public string ConnectionStringFor(string virtualHost, int? port = null) =>
        string.Create(CultureInfo.InvariantCulture, $"amqp://{User}:{Password}@127.0.0.1:{port ?? Port}/{Uri.EscapeDataString(virtualHost)}");

    /// <summary>Starts a node.</summary>
    /// <param name="definitions">JSON of what it is to hold, as RabbitMQ exports it, with or without users; one with administrator rights is added.</param>
    /// <param name="cancellation">Ends the start.</param>
    /// <exception cref="InvalidOperationException">It is not there, or does not start.</exception>
    public static async Task<RabbitMqServer> StartAsync(string? definitions, CancellationToken cancellation)
    {
        if (MissingBecause is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        var server = new RabbitMqServer();
        try
        {
            await server.PrepareAsync(cancellation);
            await server.StartAsync(cancellation);
            if (definitions is not null)
            {
                await server.ImportAsync(null, definitions, cancellation);
            }

            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it again after <see cref="StopAsync"/> or <see cref="KillAsync"/>, with what it had.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        _broker = await StartAsync($"{Scripts}/rabbitmq-server");
        using var overdue = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        overdue.CancelAfter(StartWithin);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (!await IsUpAsync(overdue.Token))
        {
            if (!_broker.IsRunning)
            {
                throw new InvalidOperationException($"RabbitMQ did not start:\n{_broker.Output}");
            }

            try
            {
                await look.WaitForNextTickAsync(overdue.Token);
            }
            catch (OperationCanceledException late) when (!cancellation.IsCancellationRequested)
            {
                throw new InvalidOperationException($"RabbitMQ did not start within {StartWithin}:\n{_broker.Output}", late);
            }
        }
    }

    /// <summary>As an operator stops it.</summary>
    public Task StopAsync() => EndAsync(ProcessSignal.Terminate);

    /// <summary>As a machine that fails.</summary>
    public Task KillAsync() => EndAsync(ProcessSignal.Kill);

    /// <summary>An empty virtual host, with what the definitions say in it.</summary>
    public async Task CreateVirtualHostAsync(string name, string definitions, CancellationToken cancellation)
    {
        using var made = await _api.PutAsync($"vhosts/{Uri.EscapeDataString(name)}", JsonContent.Create(new { }), cancellation);
        made.EnsureSuccessStatusCode();
        await ImportAsync(name, definitions, cancellation);
    }

    /// <summary>Messages in a queue, as its management statistics say: they lag by seconds.</summary>
    public async Task<int> MessagesAsync(string virtualHost, string queue, CancellationToken cancellation)
    {
        var answer = await _api.GetFromJsonAsync<JsonElement>($"queues/{Uri.EscapeDataString(virtualHost)}/{Uri.EscapeDataString(queue)}", cancellation);
        return answer.TryGetProperty("messages", out var messages) ? messages.GetInt32() : 0;
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        if (_mapper is { } mapper)
        {
            await EndAsync(mapper, ProcessSignal.Kill);
        }

        _api.Dispose();
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    private static int[] FreePorts(int count)
    {
        // Below the range of outgoing connections: a client that keeps trying could otherwise be given the very port.
        var ports = new HashSet<int>();
        while (ports.Count < count)
        {
            var port = Random.Shared.Next(20000, 30000);
            using var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                ports.Add(port);
            }
            catch (SocketException)
            {
                // Taken.
            }
        }

        return [.. ports];
    }

    private async Task PrepareAsync(CancellationToken cancellation)
    {
        Directory.CreateDirectory(_folder);
        await File.WriteAllTextAsync(Path.Combine(_folder, "enabled_plugins"), "[rabbitmq_amqp1_0,rabbitmq_management].", cancellation);
        await File.WriteAllTextAsync(
            Path.Combine(_folder, "rabbitmq.conf"),
            $"""
            listeners.tcp.1 = 127.0.0.1:{Port}
            management.tcp.ip = 127.0.0.1
            management.tcp.port = {ManagementPort}
            default_user = {User}
            default_pass = {Password}
            vm_memory_high_watermark.absolute = 1GB
            disk_free_limit.absolute = 10MB
            log.console = true
            log.console.level = warning
            log.file = false
            """,
            cancellation);
        if (Environment.IsPrivilegedProcess)
        {
            Own(_folder);
        }

        _mapper = await StartAsync("epmd", "-port", _ports[3].ToString(CultureInfo.InvariantCulture), "-address", "127.0.0.1");
    }

    private async Task<ChildProcess> StartAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo("setsid", [program, .. arguments]) { WorkingDirectory = "/" };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("RABBITMQ_", StringComparison.Ordinal) || name.StartsWith("ERL_", StringComparison.Ordinal)).ToList())
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)
                 [
                     ("HOME", _folder),
                     ("LC_ALL", "C.UTF-8"),
                     ("ERL_EPMD_PORT", _ports[3].ToString(CultureInfo.InvariantCulture)),
                     ("ERL_EPMD_ADDRESS", "127.0.0.1"),
                     ("RABBITMQ_NODENAME", _node),
                     ("RABBITMQ_DIST_PORT", _ports[2].ToString(CultureInfo.InvariantCulture)),
                     ("RABBITMQ_MNESIA_BASE", Path.Combine(_folder, "mnesia")),
                     ("RABBITMQ_LOG_BASE", _folder),
                     ("RABBITMQ_LOGS", "-"),
                     ("RABBITMQ_ENABLED_PLUGINS_FILE", Path.Combine(_folder, "enabled_plugins")),
                     ("RABBITMQ_CONFIG_FILE", Path.Combine(_folder, "rabbitmq")),
                     ("RABBITMQ_CONF_ENV_FILE", "/dev/null"),
                     ("RABBITMQ_PID_FILE", Path.Combine(_folder, "pid")),
                     // The script then replaces itself with the node.
                     ("RUNNING_UNDER_SYSTEMD", "true"),
                     ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"),
                 ])
        {
            start.Environment[name] = value;
        }

        var child = await ChildProcess.StartAsync(start, ("nobody", "nogroup"));
        child.CloseInput();
        return child;
    }

    private async Task<bool> IsUpAsync(CancellationToken cancellation)
    {
        try
        {
            // Listeners are started last.
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPAddress.Loopback, Port, cancellation);
            using var answer = await _api.GetAsync("overview", cancellation);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception notYet) when (notYet is SocketException or HttpRequestException)
        {
            return false;
        }
    }

    private async Task ImportAsync(string? virtualHost, string definitions, CancellationToken cancellation)
    {
        using var content = new StringContent(definitions, Encoding.UTF8, "application/json");
        using var imported = await _api.PostAsync(virtualHost is null ? "definitions" : $"definitions/{Uri.EscapeDataString(virtualHost)}", content, cancellation);
        if (!imported.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"RabbitMQ refuses the definitions: {await imported.Content.ReadAsStringAsync(cancellation)}");
        }
    }

    private async Task EndAsync(ProcessSignal signal)
    {
        if (Interlocked.Exchange(ref _broker, null) is { } broker)
        {
            await EndAsync(broker, signal);
        }
    }

    private static async Task EndAsync(ChildProcess child, ProcessSignal signal)
    {
        child.Signal(signal);
        await Task.WhenAny(child.ExitAsync(CancellationToken.None), Task.Delay(StopWithin));
        // Erlang's own children are in its session's group.
        child.SignalGroup(ProcessSignal.Kill);
        await child.DisposeAsync();
    }

    private static void Own(string folder)
    {
        foreach (var path in Directory.EnumerateFileSystemEntries(folder).Append(folder))
        {
            const uint nobody = 65534;
            if (ChangeOwner(path, nobody, nobody) != 0)
            {
                throw new IOException($"{path} cannot be given to nobody: {Marshal.GetLastPInvokeErrorMessage()}.");
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);
}

/// <summary>One node for all tests of an assembly, started when the first of them asks for it.</summary>
public sealed class RabbitMqFixture : IAsyncDisposable
{
    private readonly Lazy<Task<RabbitMqServer>> _server = new(() => RabbitMqServer.StartAsync(null, CancellationToken.None));
    private int _virtualHosts;

    /// <summary>The shared server. A test that stops its server starts one of its own instead.</summary>
    public Task<RabbitMqServer> ServerAsync() => _server.Value;

    /// <summary>A virtual host of the caller's own, with what the definitions say in it. Returns its name.</summary>
    public async Task<string> CreateVirtualHostAsync(string definitions, CancellationToken cancellation)
    {
        var name = $"tests-{Interlocked.Increment(ref _virtualHosts)}";
        await (await ServerAsync()).CreateVirtualHostAsync(name, definitions, cancellation);
        return name;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server.IsValueCreated)
        {
            await (await _server.Value).DisposeAsync();
        }
    }
}
