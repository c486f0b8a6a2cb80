using System.Reflection;
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
        module.Services.AddKeyedSingleton(name, (services, _) =>
        {
            var connectionString = ConnectionString(services.GetRequiredService<IConfiguration>(), name);
            var pooled = new NpgsqlDataSourceBuilder(connectionString);
            pooled.UseLoggerFactory(services.GetRequiredService<ILoggerFactory>());
            pooled.ConnectionStringBuilder.MaxPoolSize = 10;
            pooled.ConnectionStringBuilder.MaxAutoPrepare = 60;
            pooled.ConnectionStringBuilder.ApplicationName = name;
            pooled.ConnectionStringBuilder.Timeout = 5;
            var locks = new NpgsqlDataSourceBuilder(connectionString);
            locks.ConnectionStringBuilder.Pooling = false;
            locks.ConnectionStringBuilder.ApplicationName = name + " lock";
            locks.ConnectionStringBuilder.KeepAlive = 10;
            locks.ConnectionStringBuilder.Timeout = 5;
            return new ModuleDatabase(name, pooled.Build(), locks.Build());
        });
        module.Services.AddKeyedSingleton(name, (services, _) => new ModuleLocks(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<ILogger<ModuleLocks>>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new Migrator(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            ConnectionString(services.GetRequiredService<IConfiguration>(), name),
            scripts,
            services.GetRequiredService<ILogger<Migrator>>(),
            services.GetRequiredKeyedService<Partitions>(name)));
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
