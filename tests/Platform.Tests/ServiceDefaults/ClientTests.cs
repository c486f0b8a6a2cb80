using System.Globalization;
using System.Text;
using Azure.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using StackExchange.Redis;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.ServiceDefaults;

/// <summary>Connections to PostgreSQL and Redis: what configuration says, and tokens where it has no password.</summary>
public sealed class ClientTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void A_connection_string_of_its_own_wins_over_the_client_s_keys_and_the_named_key_over_the_general_one()
    {
        Assert.Equal("general", Read(("Aspire:Npgsql:ConnectionString", "general")).ConnectionString);
        Assert.Equal("named", Read(("Aspire:Npgsql:ConnectionString", "general"), ("Aspire:Npgsql:orders-db:ConnectionString", "named")).ConnectionString);
        Assert.Equal("own", Read(("Aspire:Npgsql:orders-db:ConnectionString", "named"), ("ConnectionStrings:orders-db", "own")).ConnectionString);
        Assert.Null(Read().ConnectionString);

        static ClientSettings Read(params (string Key, string Value)[] settings) => ClientSettings.Read(Configuration(settings), ClientSettings.Npgsql, "orders-db");
    }

    [Fact]
    public void The_switches_of_Aspire_s_clients_are_read_by_name_and_for_all_and_nonsense_is_named()
    {
        var settings = ClientSettings.Read(
            Configuration(("Aspire:Npgsql:DisableTracing", "true"), ("Aspire:Npgsql:orders-db:DisableTracing", "false"), ("Aspire:Npgsql:DisableMetrics", "True")),
            ClientSettings.Npgsql,
            "orders-db");

        Assert.Equal(new ClientSettings(null, DisableHealthChecks: false, DisableTracing: false, DisableMetrics: true), settings);
        var refused = Assert.Throws<InvalidOperationException>(() => ClientSettings.Read(Configuration(("Aspire:Npgsql:DisableMetrics", "yes")), ClientSettings.Npgsql, null));
        Assert.Contains("Aspire:Npgsql:DisableMetrics is 'yes'", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/vuln-center-identity","upn":"x"}""", "vuln-center-identity")]
    [InlineData("""{"upn":"ada@example.com"}""", "ada@example.com")]
    [InlineData("""{"preferred_username":"ada@example.com"}""", "ada@example.com")]
    [InlineData("""{"unique_name":"ada@example.com"}""", "ada@example.com")]
    public void The_database_role_is_the_identity_that_the_token_names(string claims, string role) => Assert.Equal(role, EntraIdentity.RoleOf(Token(claims)));

    [Fact]
    public void A_token_that_names_nobody_says_what_to_configure_instead()
    {
        Assert.Contains("Username", Assert.Throws<InvalidOperationException>(() => EntraIdentity.RoleOf(Token("{}"))).Message, StringComparison.Ordinal);
        Assert.Contains("oid", Assert.Throws<InvalidOperationException>(() => EntraIdentity.ObjectIdOf(Token("{}"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Host=wave16.postgres.database.azure.com;Ssl Mode=Require", true)]
    [InlineData("Host=wave16.postgres.database.azure.com;Username=owner;Password=secret", false)]
    [InlineData("Host=wave16.postgres.database.azure.com;Passfile=/run/secrets/pgpass", false)]
    [InlineData("Host=127.0.0.1;Username=owner", false)]
    [InlineData("Host=postgres.database.azure.com.example.com;Username=owner", false)]
    public void A_token_is_asked_for_only_at_Azure_and_only_without_a_password(string connectionString, bool asked)
    {
        var credential = new Tokens("""{"upn":"ada"}""");

        new NpgsqlDataSourceBuilder(connectionString).UseEntraIdentity(() => credential).Build().Dispose();

        Assert.Equal(asked, credential.Given > 0);
    }

    [Fact]
    public async Task PostgreSQL_takes_the_token_as_the_password_of_the_identity_s_role()
    {
        var credential = new Tokens("""{"upn":"ada@example.com"}""");
        var given = new NpgsqlConnectionStringBuilder(await postgres.CreateDatabaseAsync(Cancellation)) { Pooling = false };
        await using (var owner = new NpgsqlConnection(given.ConnectionString))
        {
            await owner.OpenAsync(Cancellation);
            await using var create = new NpgsqlCommand($"create role \"ada@example.com\" login password '{credential.Current}'", owner);
            await create.ExecuteNonQueryAsync(Cancellation);
        }

        given.Remove("Username");
        given.Remove("Password");
        await using var connections = new NpgsqlDataSourceBuilder(given.ConnectionString).UseTokens(credential).Build();
        await using var who = connections.CreateCommand("select current_user::text");

        Assert.Equal("ada@example.com", await who.ExecuteScalarAsync(Cancellation));
    }

    [Theory]
    [InlineData("wave16.westeurope.redis.azure.net:10000,ssl=true", true)]
    [InlineData("wave16.redis.cache.windows.net:6380,ssl=true", true)]
    [InlineData("wave16.westeurope.redis.azure.net:10000,ssl=true,password=secret", false)]
    [InlineData("127.0.0.1:6379", false)]
    public void Redis_gets_tokens_only_at_Azure_and_only_without_a_password(string connectionString, bool wanted) =>
        Assert.Equal(wanted, RedisTokens.IsWanted(ConfigurationOptions.Parse(connectionString)));

    [Fact]
    public async Task Redis_takes_the_token_and_an_open_connection_is_given_the_next_one_before_it_ends()
    {
        Assert.SkipWhen(RedisServer.IsMissing, "There is no redis-server here.");
        await using var server = await RedisServer.StartAsync("owner", Cancellation);
        await using var owner = await ConnectionMultiplexer.ConnectAsync(server.ConnectionString + ",allowAdmin=true");
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));
        var credential = new Tokens("""{"oid":"11111111-2222-3333-4444-555555555555"}""", clock);
        await AllowAsync();
        using var tokens = new RedisTokens(credential, clock);
        var options = ConfigurationOptions.Parse($"127.0.0.1:{server.Port},ssl=false");
        options.Defaults = tokens;
        await using var connection = await ConnectionMultiplexer.ConnectAsync(options);
        await connection.GetDatabase().PingAsync();
        var before = await AuthenticatedAsync();
        await AllowAsync(credential.Renew());

        while (await AuthenticatedAsync() == before)
        {
            clock.Advance(TimeSpan.FromMinutes(5));
            await connection.GetDatabase().PingAsync();
        }

        Assert.Equal(credential.Current, tokens.Password);

        async Task AllowAsync(string? another = null) => await owner.GetDatabase().ExecuteAsync(
            "ACL", "SETUSER", "11111111-2222-3333-4444-555555555555", "on", $">{another ?? credential.Current}", "~*", "+@all");

        // A first connection says HELLO with its credentials; only AUTH is what was said again.
        async Task<long> AuthenticatedAsync()
        {
            var stats = (string?)await owner.GetDatabase().ExecuteAsync("INFO", "commandstats") ?? "";
            var line = stats.Split("\r\n").FirstOrDefault(line => line.StartsWith("cmdstat_auth:calls=", StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line["cmdstat_auth:calls=".Length..line.IndexOf(',', StringComparison.Ordinal)], CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public async Task A_Redis_that_goes_away_is_reported_and_comes_back_by_itself()
    {
        Assert.SkipWhen(RedisServer.IsMissing, "There is no redis-server here.");
        await using var server = await RedisServer.StartAsync("p@ss/word%1", Cancellation);
        var builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration["ConnectionStrings:membership"] = server.ConnectionString;
        builder.Configuration["Aspire:StackExchange:Redis:ConfigurationOptions:ClientName"] = "wave16-tests";
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<DependencyHealth>();
        builder.AddRedis("membership");
        using var host = builder.Build();
        await host.StartAsync(Cancellation);
        var redis = host.Services.GetRequiredKeyedService<IConnectionMultiplexer>("membership");
        var health = host.Services.GetRequiredService<DependencyHealth>();

        Assert.Equal("wave16-tests", (string?)await redis.GetDatabase().ExecuteAsync("CLIENT", "GETNAME"));
        await SaysAsync(DependencyState.Healthy);
        await server.StopAsync();
        await SaysAsync(DependencyState.Degraded);
        await server.StartAgainAsync(Cancellation);
        await SaysAsync(DependencyState.Healthy);
        await redis.GetDatabase().PingAsync();
        await host.StopAsync(Cancellation);

        async Task SaysAsync(DependencyState state)
        {
            using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            while (health.Reports.Single().State != state)
            {
                await look.WaitForNextTickAsync(Cancellation);
            }
        }
    }

    private static IConfiguration Configuration(params (string Key, string Value)[] settings) =>
        new ConfigurationBuilder().AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value))).Build();

    private static string Token(string claims, int number = 0) =>
        $"{Part("""{"alg":"none"}""")}.{Part(claims)}.{Part(number.ToString(CultureInfo.InvariantCulture))}";

    private static string Part(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <summary>Entra ID as a credential sees it: tokens for an hour, a new one when told.</summary>
    private sealed class Tokens(string claims, TimeProvider? clock = null) : TokenCredential
    {
        private readonly TimeProvider _clock = clock ?? TimeProvider.System;
        private int _number;

        public int Given { get; private set; }

        public string Current => Token(claims, _number);

        public string Renew()
        {
            _number++;
            return Current;
        }

        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken)
        {
            Given++;
            return new AccessToken(Current, _clock.GetUtcNow().AddHours(1));
        }

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            new(GetToken(requestContext, cancellationToken));
    }
}
