using System.Reflection;
using Azure.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.Platform.Retention;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Store;

internal static class ModuleDatabaseRegistration
{
    /// <summary>Registers the keyed <see cref="ModuleDatabase"/>, <see cref="ModuleLocks"/> and <see cref="Migrator"/>. Nothing connects before start.</summary>
    public static void AddModuleDatabase(this ModuleBuilder module, Assembly scripts)
    {
        var name = module.Name;
        var configuration = module.Configuration;
        module.Host.AddPostgres($"{name}-db", () => ConnectionString(configuration, name), connections =>
        {
            var to = connections.ConnectionStringBuilder;
            to.MaxPoolSize = 10;
            to.MaxAutoPrepare = 60;
            to.ApplicationName = name;
            to.Timeout = 5;
        });
        module.Services.AddKeyedSingleton(name, (services, _) => new ModuleDatabase(
            name,
            services.GetRequiredKeyedService<NpgsqlDataSource>($"{name}-db"),
            Unpooled(services, ConnectionString(configuration, name), $"{name} lock"))
        {
            Opening = services.GetService<SiloStart>()?.Started ?? Task.CompletedTask,
        });
        module.Services.AddKeyedSingleton(name, (services, _) => new ModuleLocks(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<ILogger<ModuleLocks>>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new Migrator(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            database => Unpooled(services, new NpgsqlConnectionStringBuilder(ConnectionString(configuration, name)) { Database = database }.ConnectionString, $"{name} migration"),
            scripts,
            services.GetRequiredService<ILogger<Migrator>>(),
            services.GetRequiredKeyedService<Partitions>(name)));
    }

    // For what a session holds: locks, and migrations.
    private static NpgsqlDataSource Unpooled(IServiceProvider services, string connectionString, string purpose)
    {
        var connections = new NpgsqlDataSourceBuilder(connectionString);
        connections.UseEntraIdentity(services.GetRequiredService<TokenCredential>);
        var to = connections.ConnectionStringBuilder;
        to.Pooling = false;
        to.ApplicationName = purpose;
        to.KeepAlive = 10;
        to.Timeout = 5;
        return connections.Build();
    }

    /// <summary>
    /// <c>ConnectionStrings:&lt;module&gt;-db</c>, then Aspire's own keys, then the server of <c>ConnectionStrings:postgres</c> with the
    /// module's database.
    /// </summary>
    internal static string ConnectionString(IConfiguration configuration, string module)
    {
        var own = configuration.GetConnectionString($"{module}-db")
            ?? configuration[$"Aspire:Npgsql:{module}-db:ConnectionString"]
            ?? configuration["Aspire:Npgsql:ConnectionString"];
        if (own is not null)
        {
            return own;
        }

        var server = configuration.GetConnectionString("postgres")
            ?? throw new InvalidOperationException(
                $"No database for {module}: set ConnectionStrings:{module}-db (or ConnectionStrings:postgres, a server where {module.Replace('-', '_')} may be created).");
        return new NpgsqlConnectionStringBuilder(server) { Database = module.Replace('-', '_') }.ConnectionString;
    }
}
