using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Wave16.Platform.Store;

namespace Wave16.Platform.Modules;

/// <summary>Hosts one module (its executable) or several (Standalone) in one process: one web server, one silo.</summary>
public static class ModuleHost
{
    /// <summary>The whole of a module's <c>Program.cs</c>.</summary>
    /// <returns>The process's exit code.</returns>
    public static async Task<int> Run<TModule>(string[] args)
        where TModule : IModule, new()
    {
        var module = new TModule();
        var builder = WebApplication.CreateBuilder(args);
        builder.AddModules([module]);
        await using var app = builder.Build();
        app.MapModules();
        if (args.Contains("--migrate", StringComparer.Ordinal))
        {
            await app.Services.GetRequiredKeyedService<Migrator>(module.Name).MigrateAsync(CancellationToken.None);
            return 0;
        }

        await app.RunAsync();
        return 0;
    }

    /// <summary>Registers the silo, and for each module its database, its platform services and its own services.</summary>
    public static WebApplicationBuilder AddModules(this WebApplicationBuilder builder, IReadOnlyList<IModule> modules)
    {
        builder.Services.AddSingleton(new HostedModules(modules));
        builder.Services.AddSingleton(TimeProvider.System);
        builder.UseOrleans(silo => silo.UseModuleClustering(builder.Configuration));
        foreach (var module in modules)
        {
            var registration = new ModuleBuilder(module, builder);
            registration.AddModuleDatabase(module.Migrations);
            builder.Services.AddKeyedSingleton(module.Name, (services, _) =>
                new SaveTail(services.GetRequiredKeyedService<ModuleDatabase>(module.Name), registration.Routes));
            builder.Services.AddKeyedSingleton(module.Name, (services, _) => new SetSave(
                services.GetRequiredKeyedService<ModuleDatabase>(module.Name),
                services.GetRequiredKeyedService<SaveTail>(module.Name),
                registration.Routes));
            module.AddServices(registration);
        }

        return builder;
    }

    /// <summary>Maps every hosted module's endpoints, each into its own OpenAPI document.</summary>
    public static WebApplication MapModules(this WebApplication app)
    {
        foreach (var module in app.Services.GetRequiredService<HostedModules>().Modules)
        {
            module.MapEndpoints(app.MapGroup("").WithGroupName(module.Name));
        }

        return app;
    }
}

/// <summary>The modules of this process, in the order they were named.</summary>
public sealed record HostedModules(IReadOnlyList<IModule> Modules);
