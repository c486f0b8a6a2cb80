using Azure.Core;
using Npgsql;

namespace Wave16.ServiceDefaults;

/// <summary>How connections to PostgreSQL are opened: with the password of the connection string, or as an Entra ID identity.</summary>
public static class PostgresConnections
{
    private static readonly TokenRequestContext Scope = new(["https://ossrdbms-aad.database.windows.net/.default"]);

    // The credential keeps its token until shortly before the end; asking again costs nothing.
    private static readonly TimeSpan RefreshEvery = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(5);

    /// <summary>
    /// At a server of Azure Database for PostgreSQL and without a password: Entra ID tokens are the password, and the user is
    /// the token's holder unless the connection string names one. Elsewhere nothing changes.
    /// </summary>
    public static NpgsqlDataSourceBuilder UseEntraIdentity(this NpgsqlDataSourceBuilder connections, Func<TokenCredential> credential)
    {
        var to = connections.ConnectionStringBuilder;
        return string.IsNullOrEmpty(to.Password) && string.IsNullOrEmpty(to.Passfile)
            && EntraIdentity.IsIn(to.Host, ".postgres.database.azure.com", ".postgres.database.chinacloudapi.cn", ".postgres.database.usgovcloudapi.net")
            ? connections.UseTokens(credential())
            : connections;
    }

    internal static NpgsqlDataSourceBuilder UseTokens(this NpgsqlDataSourceBuilder connections, TokenCredential credential)
    {
        if (string.IsNullOrEmpty(connections.ConnectionStringBuilder.Username))
            connections.ConnectionStringBuilder.Username = EntraIdentity.RoleOf(credential.GetToken(Scope, CancellationToken.None).Token);
        return connections.UsePeriodicPasswordProvider(
            async (_, cancellation) => (await credential.GetTokenAsync(Scope, cancellation)).Token,
            RefreshEvery,
            RetryEvery);
    }
}
