using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Neighbours;
using Wave16.Testing;
using Wave16.VulnCenter.Contracts;

[assembly: AssemblyFixture(typeof(Wave16.Testing.PostgresFixture))]

namespace Wave16.VulnCenter.Tests;

/// <summary>vuln-center over real HTTP, on a database of its own, beside real stand-ins of its neighbours.</summary>
public sealed class VulnCenterHost(PostgresFixture postgres) : IAsyncLifetime
{
    private WebApplication? _neighbours;
    private RunningModules? _module;
    private string? _database;

    public RunningModules Module => _module ?? throw new InvalidOperationException("Not started.");

    public Uri Neighbours { get; private set; } = new("http://127.0.0.1/");

    public string Database => _database ?? throw new InvalidOperationException("Not started.");

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddNeighbours();
        _neighbours = builder.Build();
        _neighbours.MapNeighbours();
        await _neighbours.StartAsync(TestContext.Current.CancellationToken);
        Neighbours = new Uri(_neighbours.Urls.First());
        _database = await postgres.CreateDatabaseAsync(TestContext.Current.CancellationToken);
        _module = await StartModuleAsync();
    }

    public Task<RunningModules> StartModuleAsync(Action<IServiceCollection>? configure = null, params IEnumerable<KeyValuePair<string, string?>> settings) =>
        StartOnAsync(Database, configure, settings);

    private Task<RunningModules> StartOnAsync(string database, Action<IServiceCollection>? configure, IEnumerable<KeyValuePair<string, string?>> settings) => RunningModules.StartAsync(
        [new VulnCenterModule()],
        [
            KeyValuePair.Create<string, string?>("ConnectionStrings:vuln-center-db", database),
            .. NeighboursExtensions.Names.Select(name => KeyValuePair.Create<string, string?>($"Neighbours:{name}:Url", new Uri(Neighbours, $"{name}/").ToString()))
                .ExceptBy(settings.Select(setting => setting.Key), setting => setting.Key),
            .. settings,
        ],
        TestContext.Current.CancellationToken,
        configure);

    /// <summary>A module with a database of its own, for what another one's background work would disturb.</summary>
    /// <param name="database">One that a module had before; null: a new one.</param>
    public async Task<(RunningModules Module, string Database)> StartAloneAsync(string? database = null, params IEnumerable<KeyValuePair<string, string?>> settings)
    {
        database ??= await postgres.CreateDatabaseAsync(TestContext.Current.CancellationToken);
        return (await StartOnAsync(database, configure: null, settings), database);
    }

    /// <summary>
    /// Makes everything about findings' deadlines so much older, as if that time had gone by. The clock itself cannot be moved:
    /// the silo lives by it, too.
    /// </summary>
    public static async Task PassAsync(string database, TimeSpan time)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand("""
            with f as (
              update vuln_center.finding
              set first_seen = first_seen - $1, status_since = status_since - $1, suppressed_at = suppressed_at - $1, suppressed_until = suppressed_until - $1,
                  sla_from = sla_from - $1, sla_paused_at = sla_paused_at - $1, sla_warn_at = sla_warn_at - $1, sla_due_at = sla_due_at - $1,
                  sla_warned_at = sla_warned_at - $1, sla_breached_at = sla_breached_at - $1
            )
            update platform.due set due_at = due_at - $1, next_at = next_at - $1
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = time });
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public Task<HttpClient> OperatorAsync(string tenant) => Module.ClientAsync(tenant, TestContext.Current.CancellationToken, "operator", "auditor");

    public async ValueTask DisposeAsync()
    {
        if (_module is not null)
        {
            await _module.DisposeAsync();
        }

        if (_neighbours is not null)
        {
            await _neighbours.DisposeAsync();
        }
    }

    /// <summary>One value from the module's database.</summary>
    public Task<T> ScalarAsync<T>(string sql, params object[] values) => ScalarInAsync<T>(Database, sql, values);

    public static async Task<T> ScalarInAsync<T>(string database, string sql, params object[] values)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql, connection);
        foreach (var value in values)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        }

        return (T)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken) ?? throw new InvalidOperationException($"No row: {sql}"));
    }
}

internal static class VulnCenterCalls
{
    public static readonly JsonSerializerOptions Json = ServiceDefaults.Wave16Json.Options;

    public static string Fixture(string name)
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Wave16.sln")))
        {
            directory = directory.Parent;
        }

        return Path.Combine((directory ?? throw new DirectoryNotFoundException("Wave16.sln")).FullName, "modules", "vuln-center", "fixtures", name);
    }

    public static async Task<HttpResponseMessage> PostReportAsync(this HttpClient client, string format, string service, byte[] report, string? encoding = null, string more = "")
    {
        using var content = new ByteArrayContent(report);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        if (encoding is not null)
        {
            content.Headers.ContentEncoding.Add(encoding);
        }

        return await client.PostAsync(new Uri($"/findings/imports?format={format}&service={Uri.EscapeDataString(service)}{more}", UriKind.Relative), content, TestContext.Current.CancellationToken);
    }

    /// <summary>Imports and returns the result; fails the test on any refusal.</summary>
    public static async Task<ImportResult> ImportAsync(this HttpClient client, string format, string service, byte[] report, string more = "")
    {
        using var answer = await client.PostReportAsync(format, service, report, more: more);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
        var import = await answer.ReadAsync<Import>();
        while (import.State is "queued" or "running")
        {
            import = await client.GetFromJsonAsync<Import>($"/findings/imports/{import.Id}", Json, TestContext.Current.CancellationToken) ?? import;
        }

        Assert.Equal("succeeded", import.State);
        return import.Result ?? throw new InvalidOperationException("No result.");
    }

    public static async Task<T> ReadAsync<T>(this HttpResponseMessage answer) =>
        await answer.Content.ReadFromJsonAsync<T>(Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    public static async Task<FindingPage> FindingsAsync(this HttpClient client, string query = "") =>
        await client.GetFromJsonAsync<FindingPage>($"/findings{query}", Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    public static async Task<FindingDetail> FindingAsync(this HttpClient client, Guid id) =>
        await client.GetFromJsonAsync<FindingDetail>($"/findings/{id}", Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    public static async Task<HttpResponseMessage> MoveAsync(this HttpClient client, Guid id, object change, string ifMatch, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/findings/{id}/status") { Content = JsonContent.Create(change, options: Json) };
        request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        if (idempotencyKey is not null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", idempotencyKey);
        }

        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>Attaches a file, and returns what names it as evidence that the finding is gone.</summary>
    public static async Task<object> AttachEvidenceAsync(this HttpClient client, Guid finding)
    {
        var log = Encoding.UTF8.GetBytes($"{finding} is gone {Guid.NewGuid()}");
        using var file = new ByteArrayContent(log) { Headers = { ContentType = new("text/plain") } };
        using var form = new MultipartFormDataContent { { file, "file", "scan.log" } };
        using var answer = await client.PostAsync(new Uri($"/findings/{finding}/artifacts", UriKind.Relative), form, TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
        return new { status = "verified", evidence = new { sha256 = Convert.ToHexStringLower(SHA256.HashData(log)) } };
    }

    public static async Task<string> CodeOfAsync(this HttpResponseMessage answer) =>
        (await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken)).GetProperty("code").GetString() ?? "";
}
