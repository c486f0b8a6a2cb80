using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Orleans.Dashboard;
using Wave16.Platform.Audit;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>Hosts one module (its executable) or several (Standalone) in one process: one web server, one silo.</summary>
public static class ModuleHost
{
    private const string Migrate = "--migrate";
    private const string NewEpoch = "--new-epoch";

    /// <summary>The whole of a module's <c>Program.cs</c>.</summary>
    /// <returns>The process's exit code.</returns>
    public static async Task<int> Run<TModule>(string[] args)
        where TModule : IModule, new()
    {
        var module = new TModule();
        var builder = WebApplication.CreateBuilder(SettingsOf(args));
        builder.AddModules([module]);
        OpenApiBuild.RemoveHostedServices(builder.Services);
        await using var app = builder.Build();
        app.MapModules();
        if (await RunOnceAsync(app, args) is { } done)
        {
            return done;
        }

        await app.StartAsync(CancellationToken.None);
        await app.WaitForShutdownAsync(CancellationToken.None);
        if (app.Services.GetService<SiloStart>() is { WasLeft: true })
        {
            app.Services.FlushTelemetry();
            Environment.Exit(Environment.ExitCode);
        }

        return Environment.ExitCode;
    }

    /// <summary>Does what <c>--migrate</c> or <c>--new-epoch</c> asks for instead of running.</summary>
    /// <returns>The exit code; null when neither is asked for.</returns>
    public static async Task<int?> RunOnceAsync(WebApplication app, string[] args) =>
        args.Contains(Migrate, StringComparer.Ordinal) ? await MigrateAsync(app)
        : args.Contains(NewEpoch, StringComparer.Ordinal) ? await BeginNewEpochAsync(app)
        : null;

    /// <summary>The arguments without those two, which configuration would give the next argument as their value.</summary>
    public static string[] SettingsOf(string[] args) => [.. args.Where(argument => argument is not (Migrate or NewEpoch))];

    /// <summary>Brings every hosted module's schema up and starts nothing: the job of an init container or of an operator.</summary>
    /// <returns>0, or 1 with the reason on standard error.</returns>
    public static Task<int> MigrateAsync(WebApplication app) =>
        ForEachModuleAsync(app, (module, cancellation) => app.Services.GetRequiredKeyedService<Migrator>(module).MigrateAsync(cancellation));

    /// <summary>Begins a new epoch in every hosted module's store, and starts nothing: a step of every restore, before the first start.</summary>
    /// <returns>0, or 1 with the reason on standard error.</returns>
    public static Task<int> BeginNewEpochAsync(WebApplication app) => ForEachModuleAsync(app, async (module, cancellation) =>
    {
        var epoch = await StoreEpochs.BeginNewAsync(app.Services.GetRequiredKeyedService<ModuleDatabase>(module), cancellation);
        await Console.Out.WriteLineAsync($"{module}: store epoch {epoch.Number} ({epoch.Token})");
    });

    private static async Task<int> ForEachModuleAsync(WebApplication app, Func<string, CancellationToken, Task> run)
    {
        foreach (var module in app.Services.GetRequiredService<HostedModules>().Modules)
        {
            try
            {
                await run(module.Name, app.Lifetime.ApplicationStopping);
            }
            catch (Exception failure) when (failure is NpgsqlException or SocketException or MigrationFailedException or InvalidOperationException)
            {
                await Console.Error.WriteLineAsync(failure.Message);
                return 1;
            }
        }

        return 0;
    }

    /// <summary>Registers the silo, and for each module its database, its platform services and its own services.</summary>
    public static WebApplicationBuilder AddModules(this WebApplicationBuilder builder, IReadOnlyList<IModule> modules)
    {
        // One module is a service by itself; several in one process are one service with one silo.
        var service = modules is [var only] ? only.Name : "standalone";
        builder.AddServiceDefaults(service);
        builder.Services.AddSingleton(new HostedModules(modules));
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<IReadiness, SiloReadiness>();
        builder.UseOrleans(silo =>
        {
            silo.UseModuleClustering(builder.Configuration, service);
            if (builder.Environment.IsDevelopment())
            {
                silo.AddDashboard();
            }
        });
        builder.AddMembership();
        foreach (var module in modules)
        {
            var registration = new ModuleBuilder(module, builder);
            registration.AddPlatform(module.Migrations);
            builder.Services.AddWave16OpenApi(module.Name, module.Title);
            module.AddServices(registration);
        }

        return builder;
    }

    /// <summary>The middleware and endpoints of every host, and every hosted module's endpoints, each into its own OpenAPI document.</summary>
    public static WebApplication MapModules(this WebApplication app)
    {
        app.UseServiceDefaults();
        app.MapServiceDefaults();
        if (app.Environment.IsDevelopment())
        {
            app.MapOrleansDashboard("/orleans").ExcludeFromDescription().RequireScope(Access.Scopes.DashboardRead);
        }

        foreach (var module in app.Services.GetRequiredService<HostedModules>().Modules)
        {
            var endpoints = app.MapGroup("").WithGroupName(module.Name);
            ModuleEndpoint.Apply(endpoints, module.Name);
            module.MapEndpoints(endpoints);
            endpoints.MapEvents(module.Name);
            endpoints.MapAudit(module.Name);
        }

        return app;
    }
}

/// <summary>The modules of this process, in the order they were named.</summary>
public sealed record HostedModules(IReadOnlyList<IModule> Modules);
