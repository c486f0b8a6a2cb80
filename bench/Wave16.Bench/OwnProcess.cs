using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Wave16.Neighbours;
using Wave16.VulnCenter;

namespace Wave16.Bench;

/// <summary>vuln-center in a process of its own, so that the memory it holds is its own.</summary>
internal sealed class OwnProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(60);

    private readonly WebApplication _neighbours;
    private readonly Process _server;

    private OwnProcess(WebApplication neighbours, Process server, Uri address) => (_neighbours, _server, Address) = (neighbours, server, address);

    public Uri Address { get; }

    /// <summary>The kernel's own high-water mark: nothing between two samples is missed.</summary>
    public long PeakBytes
    {
        get
        {
            _server.Refresh();
            return _server.PeakWorkingSet64;
        }
    }

    /// <param name="settings">As environment variables name them.</param>
    public static async Task<OwnProcess> StartAsync(string connectionString, CancellationToken cancellation, params (string Name, string Value)[] settings)
    {
        var neighbours = await Hosted.StartNeighboursAsync(cancellation);
        var address = FreeAddress();
        var own = new OwnProcess(neighbours, Start(address, connectionString, neighbours.Urls.First(), settings), address);
        try
        {
            await own.ReadyAsync(cancellation);
            return own;
        }
        catch
        {
            await own.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _server.Kill(entireProcessTree: true);
        await _server.WaitForExitAsync(CancellationToken.None);
        _server.Dispose();
        await _neighbours.DisposeAsync();
    }

    private static Process Start(Uri address, string connectionString, string neighbours, (string Name, string Value)[] settings)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet") { UseShellExecute = false, RedirectStandardOutput = true };
        start.ArgumentList.Add(Assembly.GetAssembly(typeof(VulnCenterModule))?.Location ?? throw new InvalidOperationException("No module."));
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        start.Environment["ASPNETCORE_URLS"] = address.ToString();
        start.Environment["Logging__LogLevel__Default"] = "Warning";
        start.Environment["ConnectionStrings__vuln-center-db"] = connectionString;
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        foreach (var name in NeighboursExtensions.Names)
        {
            start.Environment[$"Neighbours__{name}__Url"] = $"{neighbours}/{name}/";
        }

        var server = Process.Start(start) ?? throw new InvalidOperationException("vuln-center did not start.");
        server.OutputDataReceived += (_, line) => Console.Error.WriteLine(line.Data);
        server.BeginOutputReadLine();
        return server;
    }

    private async Task ReadyAsync(CancellationToken cancellation)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        within.CancelAfter(StartWithin);
        using var client = new HttpClient { BaseAddress = Address };
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (await look.WaitForNextTickAsync(within.Token) && !_server.HasExited)
        {
            try
            {
                using var health = await client.GetAsync(new Uri("/health", UriKind.Relative), within.Token);
                if (health.IsSuccessStatusCode)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
        }

        throw new InvalidOperationException("vuln-center ended while it started.");
    }

    private static Uri FreeAddress()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return new Uri($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
    }
}
