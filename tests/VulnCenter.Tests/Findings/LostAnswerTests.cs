using System.Net;
using System.Text.Json;
using Npgsql;
using Wave16.Testing;

namespace Wave16.VulnCenter.Tests.Findings;

/// <summary>A change of status whose connection to PostgreSQL breaks around its commit.</summary>
public sealed class LostAnswerTests(PostgresFixture postgres)
{
    private const string Save = "insert into vuln_center.transition";
    private static readonly object Triage = new { status = "triaged", reason = "reachable" };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("\"1\"")]
    [InlineData("*")]
    public async Task A_change_whose_answer_is_lost_after_the_commit_is_refused_as_unavailable_and_its_repeat_finds_it_done(string ifMatch)
    {
        await using var cut = await CutModule.StartAsync(postgres);
        var passed = cut.Proxy.CutAfter(Save);

        using var lost = await cut.Client.MoveAsync(cut.Finding, Triage, ifMatch, "key-1");
        await passed;
        Assert.Equal(new Written(Version: 2, Transitions: 1, Leaves: 1, Events: 1, Answers: 1), await cut.WrittenAsync());
        using var repeated = await cut.Client.MoveAsync(cut.Finding, Triage, ifMatch, "key-1");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, lost.StatusCode);
        Assert.NotNull(lost.Headers.RetryAfter);
        Assert.Equal((HttpStatusCode.OK, "\"2\""), (repeated.StatusCode, repeated.Headers.ETag?.Tag));
        Assert.Equal(new Written(Version: 2, Transitions: 1, Leaves: 1, Events: 1, Answers: 1), await cut.WrittenAsync());
    }

    [Fact]
    public async Task A_change_that_never_reaches_the_server_is_done_once_by_its_repeat()
    {
        await using var cut = await CutModule.StartAsync(postgres);
        var passed = cut.Proxy.CutBefore(Save);

        using var lost = await cut.Client.MoveAsync(cut.Finding, Triage, "\"1\"", "key-1");
        await passed;
        Assert.Equal(new Written(Version: 1, Transitions: 0, Leaves: 0, Events: 0, Answers: 0), await cut.WrittenAsync());
        using var repeated = await cut.Client.MoveAsync(cut.Finding, Triage, "\"1\"", "key-1");
        using var again = await cut.Client.MoveAsync(cut.Finding, Triage, "\"1\"", "key-1");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, lost.StatusCode);
        Assert.Equal((HttpStatusCode.OK, "\"2\""), (repeated.StatusCode, repeated.Headers.ETag?.Tag));
        Assert.Equal(await repeated.Content.ReadAsStringAsync(Cancellation), await again.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(new Written(Version: 2, Transitions: 1, Leaves: 1, Events: 1, Answers: 1), await cut.WrittenAsync());
    }

    [Fact]
    public async Task A_change_without_a_key_whose_answer_is_lost_tells_its_repeat_that_the_finding_has_moved_on()
    {
        await using var cut = await CutModule.StartAsync(postgres);
        var passed = cut.Proxy.CutAfter(Save);

        using var lost = await cut.Client.MoveAsync(cut.Finding, Triage, "\"1\"");
        await passed;
        using var repeated = await cut.Client.MoveAsync(cut.Finding, Triage, "\"1\"");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, lost.StatusCode);
        Assert.Equal(HttpStatusCode.PreconditionFailed, repeated.StatusCode);
        Assert.Equal(new Written(Version: 2, Transitions: 1, Leaves: 1, Events: 1, Answers: 1), await cut.WrittenAsync());
    }

    /// <summary>Of the finding, since it was imported.</summary>
    private sealed record Written(long Version, long Transitions, long Leaves, long Events, long Answers);

    private sealed class CutModule(CuttingProxy proxy, RunningModules module, HttpClient client, Guid finding, string database) : IAsyncDisposable
    {
        public CuttingProxy Proxy => proxy;

        public HttpClient Client => client;

        public Guid Finding => finding;

        public static async Task<CutModule> StartAsync(PostgresFixture postgres)
        {
            var database = await postgres.CreateDatabaseAsync(Cancellation);
            var proxy = new CuttingProxy(database);
            var module = await RunningModules.StartAsync(
                [new VulnCenterModule()], [KeyValuePair.Create<string, string?>("ConnectionStrings:vuln-center-db", proxy.ConnectionString)], Cancellation);
            var client = await module.ClientAsync("acme", Cancellation, "operator");
            var report = JsonSerializer.SerializeToUtf8Bytes(new { schemaVersion = "1", source = "audit", findings = new[] { new { rule = "A-1", title = "t", kind = "config", severity = "high", resource = "r" } } });
            await client.ImportAsync("generic", "shop-api", report);
            return new CutModule(proxy, module, client, Assert.Single((await client.FindingsAsync()).Items).Id, database);
        }

        /// <summary>By a connection of its own.</summary>
        public async Task<Written> WrittenAsync()
        {
            await using var source = NpgsqlDataSource.Create(database);
            await using var count = source.CreateCommand("""
                select (select version from vuln_center.finding where id = $1),
                  (select count(*) from vuln_center.transition where finding = $1 and version > 1),
                  (select count(*) from platform.audit_leaf where entity = 'finding/' || $1 and entity_version > 1),
                  (select count(*) from platform.event where subject = $1::text and entity_version > 1),
                  (select count(*) from platform.command where entity = 'finding/' || $1)
                """);
            count.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = finding });
            await using var row = await count.ExecuteReaderAsync(Cancellation);
            Assert.True(await row.ReadAsync(Cancellation));
            return new Written(row.GetInt64(0), row.GetInt64(1), row.GetInt64(2), row.GetInt64(3), row.GetInt64(4));
        }

        public async ValueTask DisposeAsync()
        {
            client.Dispose();
            await module.DisposeAsync();
            await proxy.DisposeAsync();
        }
    }
}
