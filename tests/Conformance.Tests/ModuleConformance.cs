using System.Globalization;
using System.Net;
using System.Text.Json;
using Npgsql;
using Wave16.Standalone;

namespace Wave16.Conformance.Tests;

/// <summary>One part of the list that every module must pass, in each of the two ways to host it.</summary>
/// <param name="hosts">Shared by all tests.</param>
public abstract class ModuleConformance(Hosts hosts)
{
    private static int _tenants;

    /// <summary>Every module of Standalone; so one that is added there must pass.</summary>
    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    protected Hosts Hosts { get; } = hosts;

    protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    protected abstract Task<Host> HostAsync(string module);

    /// <summary>A tenant nobody else uses.</summary>
    protected static string NewTenant() => string.Create(CultureInfo.InvariantCulture, $"conformance-{Interlocked.Increment(ref _tenants)}");

    /// <summary>Answers with a problem document (RFC 9457) of this status, with a code and a trace id.</summary>
    protected static async Task<JsonElement> ProblemAsync(HttpResponseMessage answer, HttpStatusCode status, string? code = null)
    {
        var text = await answer.Content.ReadAsStringAsync(Cancel);
        var of = $"{answer.RequestMessage?.Method} {answer.RequestMessage?.RequestUri?.PathAndQuery}: {(int)answer.StatusCode} {text}";
        Assert.True(answer.StatusCode == status, $"expected {(int)status} of {of}");
        Assert.True(answer.Content.Headers.ContentType?.MediaType == "application/problem+json", of);
        var problem = JsonSerializer.Deserialize<JsonElement>(text);
        Assert.Equal((int)status, problem.GetProperty("status").GetInt32());
        Assert.False(string.IsNullOrEmpty(problem.GetProperty("traceId").GetString()), of);
        var actual = problem.GetProperty("code").GetString();
        Assert.True(code is null ? !string.IsNullOrEmpty(actual) : actual == code, $"expected {code} of {of}");
        return problem;
    }

    protected static async Task<JsonElement> GetJsonAsync(HttpClient client, string path)
    {
        using var answer = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
        var text = await answer.Content.ReadAsStringAsync(Cancel);
        Assert.True(answer.IsSuccessStatusCode, $"GET {path}: {(int)answer.StatusCode} {text}");
        return JsonSerializer.Deserialize<JsonElement>(text);
    }

    /// <summary>Rows of the module's database, each as its columns.</summary>
    protected static async Task<IReadOnlyList<IReadOnlyList<object>>> QueryAsync(Host host, string sql, params string[] values)
    {
        await using var source = NpgsqlDataSource.Create(host.Database);
        await using var command = source.CreateCommand(sql);
        foreach (var value in values)
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = value });
        }

        List<IReadOnlyList<object>> rows = [];
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        while (await reader.ReadAsync(Cancel))
        {
            var row = new object[reader.FieldCount];
            reader.GetValues(row);
            rows.Add(row);
        }

        return rows;
    }
}
