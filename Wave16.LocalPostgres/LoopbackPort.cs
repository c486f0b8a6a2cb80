using System.Net;
using System.Net.Sockets;

namespace Wave16.LocalPostgres;

/// <summary>Ports for private servers.</summary>
internal static class LoopbackPort
{
    // Below every system's range for outgoing connections: a client that keeps reconnecting to a stopped server in that
    // range sooner or later gets the very port as its own and so connects to itself.
    private const int FirstThrowAway = 20000, AfterThrowAway = 30000;
    private const int FirstDurable = 5433, AfterDurable = 5533;

    /// <summary>
    /// A free port: for a cluster that people connect to one near PostgreSQL's own, which it keeps; any for a throw-away one. Where
    /// the search begins is random, so that a cluster that is stopped for a moment rarely finds a new one in its place.
    /// </summary>
    public static int Choose(bool durable)
    {
        var candidates = durable
            ? Rotated(FirstDurable, AfterDurable - FirstDurable)
            : Enumerable.Range(0, 1000).Select(_ => Random.Shared.Next(FirstThrowAway, AfterThrowAway));
        foreach (var port in candidates)
        {
            if (IsFree(port))
                return port;
        }
        throw new PostgresUnavailableException($"No port is free for PostgreSQL between {(durable ? FirstDurable : FirstThrowAway)} and {(durable ? AfterDurable : AfterThrowAway) - 1}.");
    }

    private static IEnumerable<int> Rotated(int first, int count)
    {
        var start = Random.Shared.Next(count);
        return Enumerable.Range(0, count).Select(i => first + (start + i) % count);
    }

    /// <summary>Whether a server could listen there now. Another may take it a moment later.</summary>
    public static bool IsFree(int port)
    {
        using var listener = new TcpListener(IPAddress.Loopback, port);
        try
        {
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
