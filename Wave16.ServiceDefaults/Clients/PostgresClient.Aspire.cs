using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Wave16.ServiceDefaults;

/// <summary>The pooled data source of a database, by way of Aspire.Npgsql. PostgresClient.cs is the same without it.</summary>
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
        builder.AddKeyedNpgsqlDataSource(
            name,
            settings =>
            {
                // Checked only when the data source is made, with what is put in its place below.
                settings.ConnectionString = "Host=localhost";
                // The hosts' own: TelemetrySetup reads the same keys, and a server that is away takes no replica out of service.
                settings.DisableHealthChecks = settings.DisableTracing = settings.DisableMetrics = true;
            },
            connections =>
            {
                connections.ConnectionStringBuilder.ConnectionString = connectionString();
                // Whoever configures the builder is given no services.
                connections.UseEntraIdentity(static () => EntraIdentity.Credential);
                configure(connections);
            });
    }
}
