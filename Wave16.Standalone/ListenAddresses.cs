using System.Net;
using System.Net.Sockets;

namespace Wave16.Standalone;

/// <summary>Where Standalone listens, and under which of these addresses it reaches itself.</summary>
/// <param name="Urls">As Kestrel takes them; a port 0 is a free port by now, because the neighbours are told it before the server starts.</param>
/// <param name="Self">The first address as a client of this machine writes it: <c>localhost</c> where all interfaces are listened on.</param>
internal sealed record ListenAddresses(IReadOnlyList<string> Urls, Uri Self)
{
    private const string Default = "http://localhost:5016";

    /// <param name="urls">Addresses separated by ';', or null for the default.</param>
    /// <exception cref="FormatException">One of them is none.</exception>
    public static ListenAddresses Of(string? urls)
    {
        var given = (urls ?? Default).Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(BindingAddress.Parse).ToList();
        if (given.Count == 0)
        {
            throw new FormatException("No address is given.");
        }

        var bound = given.ConvertAll(address => (address.Scheme, address.Host, Port: address.Port == 0 ? FreePort() : address.Port));
        return new ListenAddresses(
            bound.ConvertAll(address => $"{address.Scheme}://{address.Host}:{address.Port}"),
            new UriBuilder(bound[0].Scheme, IsEveryInterface(bound[0].Host) ? "localhost" : bound[0].Host, bound[0].Port).Uri);
    }

    /// <summary>Why it cannot listen there; null when it can. Found out before anything is started, so that a second start by mistake costs a second and changes nothing.</summary>
    public string? Problem()
    {
        foreach (var address in Urls.Select(BindingAddress.Parse))
        {
            try
            {
                using var probe = new TcpListener(Endpoint(address));
                probe.Start();
            }
            catch (SocketException refused)
            {
                return refused.SocketErrorCode switch
                {
                    SocketError.AddressAlreadyInUse => InUse(address.Port),
                    SocketError.AccessDenied => $"Port {address.Port} may not be opened by this user. Choose one above 1023: --urls http://localhost:5017",
                    _ => $"Cannot listen on {address}: {refused.Message}. Choose an address of this machine: --urls http://localhost:5017",
                };
            }
        }

        return null;
    }

    /// <summary>What to say when somebody else took a port after the look.</summary>
    public string InUse() => InUse(Self.Port);

    private static string InUse(int port) =>
        $"Port {port} is in use: another Wave 16, or something else, listens there. Stop it, or choose another port: --urls http://localhost:{port + 1}";

    // As Kestrel binds: a name that is no address, and not localhost, means every interface.
    private static bool IsEveryInterface(string host) => IPAddress.TryParse(host, out var ip)
        ? ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any)
        : !host.Equals("localhost", StringComparison.OrdinalIgnoreCase);

    private static IPEndPoint Endpoint(BindingAddress address) => new(
        IPAddress.TryParse(address.Host, out var ip) ? ip : IsEveryInterface(address.Host) ? IPAddress.Any : IPAddress.Loopback, address.Port);

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
