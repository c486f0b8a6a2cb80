using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Wave16.ServiceDefaults;

/// <summary>The pooled data source of a database. PostgresClient.Aspire.cs is the same by way of Aspire.Npgsql.</summary>
public static class PostgresClient
{
    /// <summary>Registers the <see cref="NpgsqlDataSource"/> keyed by <paramref name="name"/>. Nothing connects before it is used.</summary>
    /// <param name="builder">The host's.</param>
    /// <param name="name">Its key, and part of its configuration keys.</param>
    /// <param name="connectionString">Asked when the data source is first needed.</param>
    /// <param name="configure">The last word on pool, names and time-outs.</param>
    public static void AddPostgres(
        this IHostApplicationBuilder builder, string name, Func<string> connectionString, Action<NpgsqlDataSourceBuilder> configure)
    {
        builder.Services.AddEntraIdentity();
        builder.Services.AddKeyedSingleton(name, (services, _) =>
        {
            var connections = new NpgsqlDataSourceBuilder(connectionString());
            connections.UseLoggerFactory(services.GetRequiredService<ILoggerFactory>());
            connections.UseEntraIdentity(services.GetRequiredService<TokenCredential>);
            configure(connections);
            return connections.Build();
        });
    }
}
