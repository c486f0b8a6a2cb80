using System.Diagnostics;
using Microsoft.Extensions.Options;
using Npgsql;
using Wave16.LocalPostgres;
using Wave16.Neighbours;
using Wave16.Platform.Modules;
using Wave16.VulnCenter;

namespace Wave16.Standalone;

/// <summary>All modules and the neighbour stand-ins in one process, with a Postgres of their own.</summary>
public static class StandaloneHost
{
    /// <summary>The modules of this build, in the order the landing page lists them.</summary>
    public static IReadOnlyList<IModule> Modules => [new VulnCenterModule()];

    /// <summary>Runs until it is told to stop.</summary>
    /// <returns>0; 1 when it could not start, after one message that says why and what to do.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var started = Stopwatch.StartNew();
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = ModuleHost.SettingsOf(args), EnvironmentName = Environment(args) });
        // The banner says what these would.
        builder.Configuration["Logging:LogLevel:Microsoft.Hosting.Lifetime"] ??= "Warning";
        ListenAddresses addresses;
        try
        {
            addresses = ListenAddresses.Of(builder.Configuration[WebHostDefaults.ServerUrlsKey]);
        }
        catch (FormatException malformed)
        {
            return Fail($"--urls is not a list of addresses such as http://localhost:5016: {malformed.Message}");
        }

        builder.WebHost.UseUrls([.. addresses.Urls]);
        if (addresses.Problem() is { } taken)
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
            await using var app = await BuildAsync(builder, postgres, addresses.Self);
            if (await ModuleHost.RunOnceAsync(app, args) is { } done)
            {
                return done;
            }

            await app.StartAsync(CancellationToken.None);
            app.Lifetime.ApplicationStopping.Register(() => Console.WriteLine("Stopping: finishing requests, draining the outbox, stopping Postgres."));
            await Banner.PrintWhenReadyAsync(app, addresses.Self, postgres, started);
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
            return Fail(addresses.InUse());
        }
        catch (NpgsqlException unusable)
        {
            return Fail($"PostgreSQL cannot be used: {unusable.Message}{(unusable.InnerException is { } inner ? $" ({inner.Message})" : "")}");
        }
        catch (OptionsValidationException invalid)
        {
            return Fail(invalid.Message);
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
            builder.Configuration[$"ConnectionStrings:{module.Name}-db"] ??= postgres.ConnectionStringFor(database);
        }

        builder.Configuration["VulnCenter:PublicUrl"] ??= url.ToString();
        builder.Services.AddNeighbours();
        builder.AddModules(Modules);
        var app = builder.Build();
        app.MapModules();
        app.MapNeighbours("/neighbours");
        app.MapLandingPage();
        app.MapBacklogPage();
        return app;
    }

    private static string Environment(string[] args) =>
        new ConfigurationBuilder().AddEnvironmentVariables("DOTNET_").AddEnvironmentVariables("ASPNETCORE_").AddCommandLine(args).Build()["environment"]
        ?? Environments.Development;

    private static bool IsDiskFull(IOException failure) => failure.HResult is unchecked((int)0x80070070) or 28 || failure.Message.Contains("No space left", StringComparison.Ordinal);

    private static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }
}
