using System.Net;
using System.Net.Sockets;
using System.Text;
using Npgsql;

namespace Wave16.Testing;

/// <summary>
/// Stands before PostgreSQL and cuts a connection, once, when a statement passes through it: before the server has it, or
/// after the server has done it and before its client hears of that.
/// </summary>
public sealed class CuttingProxy : IAsyncDisposable
{
    private const int BufferSize = 64 * 1024;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly NpgsqlConnectionStringBuilder _server;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _accepting;
    private Cut? _armed;

    /// <param name="connectionString">Of the server, without TLS: the proxy reads along.</param>
    public CuttingProxy(string connectionString)
    {
        _server = new(connectionString) { SslMode = SslMode.Disable, GssEncryptionMode = GssEncryptionMode.Disable };
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>The same database by way of the proxy.</summary>
    public string ConnectionString => new NpgsqlConnectionStringBuilder(_server.ConnectionString)
    {
        Host = IPAddress.Loopback.ToString(),
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port,
    }.ConnectionString;

    /// <summary>The next statement with this text does not reach the server. Completes when its connection is cut.</summary>
    public Task CutBefore(string statement) => Arm(statement, before: true);

    /// <summary>The next statement with this text is done and committed, and the answer is lost. Completes when its connection is cut.</summary>
    /// <remarks>The text must be in the message: of a statement that is not yet prepared. The server sends nothing before it has committed.</remarks>
    public Task CutAfter(string statement) => Arm(statement, before: false);

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Dispose();
        _stopping.Dispose();
    }

    private Task Arm(string statement, bool before)
    {
        var cut = new Cut(Encoding.UTF8.GetBytes(statement), before);
        if (Interlocked.Exchange(ref _armed, cut) is not null)
        {
            throw new InvalidOperationException("What was to be cut before has not passed yet.");
        }

        return cut.Done.Task;
    }

    private async Task AcceptAsync()
    {
        List<Task> relays = [];
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stopping.Token);
                relays.RemoveAll(relay => relay.IsCompleted);
                relays.Add(RelayAsync(client));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(relays);
        }
    }

    private async Task RelayAsync(Socket client)
    {
        using (client)
        using (var server = new Socket(SocketType.Stream, ProtocolType.Tcp))
        using (var ended = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token))
        {
            try
            {
                await server.ConnectAsync(_server.Host ?? "", _server.Port, ended.Token);
                var connection = new Connection(client, server, ended.Token);
                await await Task.WhenAny(ForthAsync(connection), BackAsync(connection));
            }
            catch (Exception over) when (over is SocketException or OperationCanceledException)
            {
                // Either end has gone.
            }
            finally
            {
                await ended.CancelAsync();
            }
        }
    }

    private async Task ForthAsync(Connection connection)
    {
        var buffer = new byte[BufferSize];
        byte[] before = [];
        while (await connection.Client.ReceiveAsync(buffer, connection.Ended) is > 0 and var read)
        {
            var chunk = buffer.AsMemory(0, read);
            if (_armed is { } cut)
            {
                // A statement may come in pieces.
                byte[] seen = [.. before, .. chunk.Span];
                before = seen[Math.Max(0, seen.Length - cut.Statement.Length + 1)..];
                if (seen.AsSpan().IndexOf(cut.Statement) >= 0 && Interlocked.CompareExchange(ref _armed, null, cut) == cut)
                {
                    if (cut.Before)
                    {
                        connection.Reset(cut);
                        return;
                    }

                    connection.Cut = cut;
                }
            }

            for (var rest = chunk; !rest.IsEmpty; rest = rest[await connection.Server.SendAsync(rest, connection.Ended)..])
            {
                // All of it.
            }
        }
    }

    private static async Task BackAsync(Connection connection)
    {
        var buffer = new byte[BufferSize];
        while (await connection.Server.ReceiveAsync(buffer, connection.Ended) is > 0 and var read)
        {
            if (connection.Cut is { } cut)
            {
                connection.Reset(cut);
                return;
            }

            for (var rest = buffer.AsMemory(0, read); !rest.IsEmpty; rest = rest[await connection.Client.SendAsync(rest, connection.Ended)..])
            {
                // All of it.
            }
        }
    }

    private sealed record Cut(byte[] Statement, bool Before)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Connection(Socket client, Socket server, CancellationToken ended)
    {
        private volatile Cut? _cut;

        public Socket Client => client;

        public Socket Server => server;

        public CancellationToken Ended => ended;

        /// <summary>The next answer is to be lost.</summary>
        public Cut? Cut
        {
            get => _cut;
            set => _cut = value;
        }

        /// <summary>Both ends see a connection reset, as from a network that fails.</summary>
        public void Reset(Cut cut)
        {
            client.LingerState = server.LingerState = new LingerOption(enable: true, seconds: 0);
            client.Close();
            server.Close();
            cut.Done.SetResult();
        }
    }
}
