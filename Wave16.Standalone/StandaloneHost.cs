using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Wave16.LocalPostgres;
using Wave16.Neighbours;
using Wave16.Platform.Modules;
using Wave16.VulnCenter;

namespace Wave16.Standalone;

/// <summary>All modules and the neighbour stand-ins in one process, with a Postgres of their own.</summary>
public static class StandaloneHost
{
    private const string DefaultUrl = "http://localhost:5016";

    /// <summary>The modules of this build, in the order the landing page lists them.</summary>
    public static IReadOnlyList<IModule> Modules => [new VulnCenterModule()];

    /// <summary>Runs until it is told to stop.</summary>
    /// <returns>0; 1 when it could not start, after one message that says why and what to do.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var started = Stopwatch.StartNew();
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, EnvironmentName = Environment(args) });
        var url = Url(builder.Configuration);
        builder.WebHost.UseUrls(url.ToString());
        if (PortProblem(url) is { } taken)
        {
            return Fail(taken);
        }

        using var logging = LoggerFactory.Create(log => log.AddConfiguration(builder.Configuration.GetSection("Logging")).AddConsole());
        try
        {
            await using var postgres = await PostgresServer.StartAsync(
                new LocalPostgresOptions
                {
                    ConnectionString = builder.Configuration.GetConnectionString("postgres"),
                    DataDirectory = Path.Combine(builder.Environment.ContentRootPath, ".wave16", "postgres"),
                },
                logging.CreateLogger("Wave16.LocalPostgres"),
                CancellationToken.None);
            await using var app = await BuildAsync(builder, postgres, url);
            if (args.Contains("--new-epoch", StringComparer.Ordinal))
            {
                return await ModuleHost.BeginNewEpochAsync(app);
            }

            await app.StartAsync(CancellationToken.None);
            app.Lifetime.ApplicationStopping.Register(() => Console.WriteLine("Stopping: finishing requests, draining the outbox, stopping Postgres."));
            await Banner.PrintWhenReadyAsync(app, url, postgres, started);
            await app.WaitForShutdownAsync(CancellationToken.None);
            return 0;
        }
        catch (PostgresUnavailableException unavailable)
        {
            return Fail(unavailable.Message);
        }
        catch (IOException full) when (IsDiskFull(full))
        {
            return Fail($"The disk is full: {full.Message}");
        }
        catch (IOException bind) when (bind.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            return Fail(InUse(url));
        }
    }

    /// <summary>The host, built but not started, on a server where each module gets its database.</summary>
    public static async Task<WebApplication> BuildAsync(WebApplicationBuilder builder, PostgresServer postgres, Uri url)
    {
        foreach (var name in NeighboursExtensions.Names)
        {
            builder.Configuration[$"Neighbours:{name}:Url"] ??= new Uri(url, $"neighbours/{name}/").ToString();
        }

        foreach (var module in Modules)
        {
            var database = module.Name.Replace('-', '_');
            await postgres.EnsureDatabaseAsync(database, CancellationToken.None);
            builder.Configuration[$"ConnectionStrings:{module.Name}-db"] = postgres.ConnectionStringFor(database);
        }

        builder.Services.AddNeighbours();
        builder.AddModules(Modules);
        var app = builder.Build();
        app.MapModules();
        app.MapNeighbours("/neighbours");
        app.MapLandingPage();
        return app;
    }

    private static string Environment(string[] args) =>
        new ConfigurationBuilder().AddEnvironmentVariables("DOTNET_").AddEnvironmentVariables("ASPNETCORE_").AddCommandLine(args).Build()["environment"]
        ?? Environments.Development;

    /// <summary>The first configured address; port 0 becomes a free port now, because the neighbours are told it before the server starts.</summary>
    private static Uri Url(ConfigurationManager configuration)
    {
        var given = configuration[WebHostDefaults.ServerUrlsKey]?.Split(';', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? DefaultUrl;
        var address = BindingAddress.Parse(given);
        var host = address.Host is "*" or "+" or "0.0.0.0" or "[::]" ? "localhost" : address.Host;
        return new UriBuilder(address.Scheme, host, address.Port == 0 ? FreePort() : address.Port).Uri;
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>Found out before anything is started, so that a second start by mistake costs a second and changes nothing.</summary>
    private static string? PortProblem(Uri url)
    {
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, url.Port);
            probe.Start();
            return null;
        }
        catch (SocketException taken) when (taken.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return InUse(url);
        }
        catch (SocketException denied) when (denied.SocketErrorCode == SocketError.AccessDenied)
        {
            return $"Port {url.Port} may not be opened by this user. Choose one above 1023: --urls http://localhost:5017";
        }
    }

    private static string InUse(Uri url) =>
        $"Port {url.Port} is in use: another Wave 16, or something else, listens there. Stop it, or choose another port: --urls http://localhost:{url.Port + 1}";

    private static bool IsDiskFull(IOException failure) => failure.HResult is unchecked((int)0x80070070) or 28 || failure.Message.Contains("No space left", StringComparison.Ordinal);

    private static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }
}
