using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Wave16.Testing;

/// <summary>Stands before a server, and can make of a connection what a pulled cable does: both ends stay open, and nothing passes any more.</summary>
public sealed class StallingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _server;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Link, byte> _links = new();
    private readonly Task _accepting;

    /// <param name="server">Its port on loopback.</param>
    public StallingProxy(int server)
    {
        _server = server;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Nothing passes through the connections that there are; new ones are not touched.</summary>
    /// <returns>How many.</returns>
    public int Stall()
    {
        foreach (var link in _links.Keys)
        {
            link.Stalled = true;
        }

        return _links.Count;
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Dispose();
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> relays = [];
        try
        {
            while (true)
            {
                relays.Add(RelayAsync(await _listener.AcceptSocketAsync(_stopping.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(relays);
        }
    }

    private async Task RelayAsync(Socket client)
    {
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp);
        var link = new Link();
        try
        {
            using (client)
            {
                await server.ConnectAsync(IPAddress.Loopback, _server, _stopping.Token);
                _links[link] = 0;
                await await Task.WhenAny(CopyAsync(client, server, link), CopyAsync(server, client, link));
            }
        }
        catch (Exception over) when (over is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Either end has gone.
        }
        finally
        {
            _links.TryRemove(link, out _);
        }
    }

    private async Task CopyAsync(Socket from, Socket to, Link link)
    {
        var buffer = new byte[64 * 1024];
        while (await from.ReceiveAsync(buffer, _stopping.Token) is > 0 and var read)
        {
            for (var rest = buffer.AsMemory(0, read); !rest.IsEmpty && !link.Stalled; rest = rest[await to.SendAsync(rest, _stopping.Token)..])
            {
                // All of it.
            }
        }

        if (link.Stalled)
        {
            await Task.Delay(Timeout.Infinite, _stopping.Token);
        }
    }

    private sealed class Link
    {
        public volatile bool Stalled;
    }
}
