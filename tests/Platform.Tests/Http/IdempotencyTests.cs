using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Http;
using Wave16.Platform.Store;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Http;

public sealed class IdempotencyTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_same_request_again_gets_the_first_answer_and_says_so()
    {
        await using var tickets = await StartAsync();
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        using var again = await tickets.PostAsync("\"k1\"", """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.Created, first.StatusCode);
        Assert.False(first.Headers.Contains("Idempotency-Replayed"));
        Assert.Equal(HttpStatusCode.Created, again.StatusCode);
        Assert.Equal("true", Assert.Single(again.Headers.GetValues("Idempotency-Replayed")));
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancellation), await again.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal(first.Headers.ETag, again.Headers.ETag);
        Assert.Equal(first.Content.Headers.ContentType, again.Content.Headers.ContentType);
        Assert.Equal(1, tickets.Runs);
    }

    [Theory]
    [InlineData("/tickets", """{"title":"b"}""")]
    [InlineData("/tickets?dryRun=true", """{"title":"a"}""")]
    [InlineData("/others", """{"title":"a"}""")]
    public async Task The_same_key_with_another_body_query_or_path_is_422(string path, string body)
    {
        await using var tickets = await StartAsync();
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");

        using var other = await tickets.PostAsync("k1", body, path);

        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
        Assert.Equal("idempotency.key-reused", await CodeAsync(other));
        Assert.Equal(1, tickets.Runs);
    }

    [Fact]
    public async Task Another_caller_another_tenant_and_another_partner_have_keys_of_their_own()
    {
        await using var tickets = await StartAsync();
        string[] tokens =
        [
            await tickets.Web.TokenAsync("acme", "ann"), await tickets.Web.TokenAsync("acme", "bob"), await tickets.Web.TokenAsync("other", "ann"),
            await tickets.Web.TokenAsync("acme", "ann", "partner-1"),
        ];

        foreach (var token in tokens)
        {
            using var answer = await tickets.PostAsync("k1", """{"title":"a"}""", token: token);
            Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        }

        Assert.Equal(4, tickets.Runs);
        Assert.Equal(4, tickets.Commands.Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public async Task Of_fifty_parallel_equal_requests_one_runs_and_the_others_wait_or_get_its_answer()
    {
        await using var tickets = await StartAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => tickets.PostAsync("k1", """{"title":"a"}""")));

        Assert.Equal(1, tickets.Runs);
        Assert.All(answers, answer => Assert.True(answer.StatusCode is HttpStatusCode.Created or HttpStatusCode.Conflict, answer.StatusCode.ToString()));
        Assert.Single(answers, answer => answer.StatusCode is HttpStatusCode.Created && !answer.Headers.Contains("Idempotency-Replayed"));
    }

    [Fact]
    public async Task While_the_first_runs_the_second_is_409_with_retry_after()
    {
        var entered = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var tickets = await StartAsync(async _ =>
        {
            entered.SetResult();
            await goOn.Task.WaitAsync(Cancellation);
        });
        var first = tickets.PostAsync("k1", """{"title":"a"}""");
        await entered.Task.WaitAsync(Cancellation);

        using var second = await tickets.PostAsync("k1", """{"title":"a"}""");
        goOn.SetResult();

        Assert.Equal(HttpStatusCode.Conflict, second.StatusCode);
        Assert.Equal("idempotency.in-progress", await CodeAsync(second));
        Assert.Equal(TimeSpan.FromSeconds(1), second.Headers.RetryAfter?.Delta);
        using var answer = await first;
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
    }

    [Fact]
    public async Task An_attempt_that_went_silent_is_taken_over_under_the_same_command_and_its_late_answer_is_not_stored()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var entered = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var silent = await StartAsync(database, new FakeTimeProvider(DateTimeOffset.UtcNow), async _ =>
        {
            entered.SetResult();
            await goOn.Task.WaitAsync(Cancellation);
        });
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var other = await StartAsync(database, clock);
        var first = silent.PostAsync("k1", """{"title":"a"}""");
        await entered.Task.WaitAsync(Cancellation);

        using var early = await other.PostAsync("k1", """{"title":"a"}""");
        clock.Advance(IdempotencyStore.Lease + TimeSpan.FromSeconds(5));
        using var takeover = await other.PostAsync("k1", """{"title":"a"}""");
        goOn.SetResult();
        using var late = await first;
        using var again = await other.PostAsync("k1", """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.Conflict, early.StatusCode);
        Assert.Equal(HttpStatusCode.Created, takeover.StatusCode);
        Assert.Equal(silent.Commands, other.Commands);
        Assert.Equal(HttpStatusCode.Created, late.StatusCode);
        Assert.Equal(await takeover.Content.ReadAsStringAsync(Cancellation), await again.Content.ReadAsStringAsync(Cancellation));
    }

    [Fact]
    public async Task A_handler_that_runs_longer_than_the_lease_keeps_its_key()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var start = DateTimeOffset.UtcNow;
        var clock = new FakeTimeProvider(start);
        var entered = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var slow = await StartAsync(database, clock, async _ =>
        {
            entered.SetResult();
            await goOn.Task.WaitAsync(Cancellation);
        });
        var first = slow.PostAsync("k1", """{"title":"a"}""");
        await entered.Task.WaitAsync(Cancellation);
        await using var renewed = await TableChanges.ListenAsync(database, "platform.idempotency", $"select from platform.idempotency where lease_until > '{start.AddSeconds(75):O}'");

        clock.Advance(TimeSpan.FromSeconds(20));
        await renewed.UntilAsync();
        await using var other = await StartAsync(database, new FakeTimeProvider(start.AddSeconds(70)));
        using var second = await other.PostAsync("k1", """{"title":"a"}""");
        goOn.SetResult();
        using var answer = await first;

        Assert.Equal(HttpStatusCode.Conflict, second.StatusCode);
        Assert.Equal(0, other.Runs);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(409)]
    [InlineData(412)]
    [InlineData(429)]
    public async Task An_answer_after_which_the_same_request_may_succeed_is_not_stored_but_the_key_stays_its_own(int status)
    {
        await using var tickets = await StartAsync(context => Task.FromResult(context.Response.StatusCode = status));
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        using var again = await tickets.PostAsync("k1", """{"title":"a"}""");
        using var other = await tickets.PostAsync("k1", """{"title":"b"}""");

        Assert.Equal(2, tickets.Runs);
        Assert.Single(tickets.Commands.Distinct(StringComparer.Ordinal));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
    }

    [Fact]
    public async Task A_refusal_is_stored_like_any_answer()
    {
        await using var tickets = await StartAsync(context => Task.FromResult(context.Response.StatusCode = 404));
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        using var again = await tickets.PostAsync("k1", """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.NotFound, again.StatusCode);
        Assert.Equal(1, tickets.Runs);
    }

    [Fact]
    public async Task An_exception_frees_the_key_for_the_same_request()
    {
        var fail = true;
        await using var tickets = await StartAsync(_ => fail ? throw new InvalidOperationException("broken") : Task.CompletedTask);
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        fail = false;
        using var again = await tickets.PostAsync("k1", """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.InternalServerError, first.StatusCode);
        Assert.Equal(HttpStatusCode.Created, again.StatusCode);
        Assert.Single(tickets.Commands.Distinct(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Without_a_key_every_request_runs_under_a_command_of_its_own()
    {
        await using var tickets = await StartAsync();
        using var first = await tickets.PostAsync(key: null, """{"title":"a"}""");
        using var second = await tickets.PostAsync(key: null, """{"title":"a"}""");

        Assert.Equal(2, tickets.Commands.Distinct(StringComparer.Ordinal).Count());
    }

    [Theory]
    [InlineData("")]
    [InlineData("\"\"")]
    [InlineData("\"open")]
    [InlineData("\"a\"b")]
    [InlineData("\"a\\x\"")]
    [InlineData("tab\there")]
    public async Task A_malformed_key_is_400_and_nothing_runs(string key)
    {
        await using var tickets = await StartAsync();

        using var answer = await tickets.PostAsync(key, """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Equal("idempotency.key-invalid", await CodeAsync(answer));
        Assert.Equal(0, tickets.Runs);
    }

    [Fact]
    public async Task A_key_has_at_most_255_characters_and_two_keys_are_none()
    {
        await using var tickets = await StartAsync();

        using var longest = await tickets.PostAsync(new string('k', 255), """{"title":"a"}""");
        using var tooLong = await tickets.PostAsync(new string('k', 256), """{"title":"a"}""");
        using var two = await tickets.Web.SendAsync(HttpMethod.Post, "/tickets", Json("{}"), tickets.Token, ("Idempotency-Key", "a"), ("Idempotency-Key", "b"));

        Assert.Equal(HttpStatusCode.Created, longest.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, tooLong.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, two.StatusCode);
    }

    [Fact]
    public async Task A_key_is_free_again_after_a_day_and_another_request_may_use_it_under_another_command()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var tickets = await StartAsync(await SampleModule.DatabaseAsync(postgres), clock);
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        clock.Advance(IdempotencyStore.Kept);
        var token = await tickets.Web.TokenAsync("acme", "ann");

        using var next = await tickets.PostAsync("k1", """{"title":"b"}""", token: token);

        Assert.Equal(HttpStatusCode.Created, next.StatusCode);
        Assert.Equal(2, tickets.Commands.Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public async Task Expired_keys_are_removed_and_the_others_stay()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var tickets = await StartAsync(await SampleModule.DatabaseAsync(postgres), clock);
        var store = tickets.Web.Services.GetRequiredKeyedService<IdempotencyStore>(SampleModule.ModuleName);
        var scope = new IdempotencyScope("acme", "ann");
        for (var i = 0; i < 5; i++)
        {
            await store.BeginAsync(scope, $"old {i}", SHA256.HashData([1]), Cancellation);
        }

        clock.Advance(IdempotencyStore.Kept);
        await store.BeginAsync(scope, "new", SHA256.HashData([1]), Cancellation);

        // The host's housekeeping may take some of them first.
        while (await store.RemoveExpiredAsync(3, Cancellation) > 0)
        {
        }

        await using var left = tickets.Web.Services.GetRequiredKeyedService<ModuleDatabase>(SampleModule.ModuleName).DataSource.CreateCommand("select count(*) from platform.idempotency");
        Assert.Equal(1L, await left.ExecuteScalarAsync(Cancellation));
        Assert.IsType<IdempotencyDecision.StillRunning>(await store.BeginAsync(scope, "new", SHA256.HashData([1]), Cancellation));
    }

    [Fact]
    public async Task A_large_answer_is_sent_whole_and_repeated_by_running_the_command_again()
    {
        var large = new string('x', AnswerRecorder.Limit + 1);
        await using var tickets = await StartAsync(async context =>
        {
            context.Items["written"] = true;
            await context.Response.WriteAsync(large, Cancellation);
        });
        using var first = await tickets.PostAsync("k1", """{"title":"a"}""");
        using var again = await tickets.PostAsync("k1", """{"title":"a"}""");

        Assert.Equal(large, await first.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(large, await again.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(2, tickets.Runs);
        Assert.Single(tickets.Commands.Distinct(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_handler_reads_the_whole_body_after_it_was_hashed()
    {
        var read = "";
        await using var tickets = await StartAsync(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            read = await reader.ReadToEndAsync(Cancellation);
        });
        var body = new string('y', 600_000);

        using var answer = await tickets.PostAsync("k1", body);

        Assert.Equal(body, read);
    }

    [Fact]
    public async Task A_handler_that_hashes_the_body_itself_is_run_once_for_a_key_too()
    {
        await using var tickets = await StartAsync();
        using var first = await tickets.PostAsync("k1", "a large file", "/uploads");
        using var again = await tickets.PostAsync("k1", "a large file", "/uploads");
        using var other = await tickets.PostAsync("k1", "another file", "/uploads");

        Assert.Equal(HttpStatusCode.Accepted, first.StatusCode);
        Assert.Equal(HttpStatusCode.Accepted, again.StatusCode);
        Assert.True(again.Headers.Contains("Idempotency-Replayed"));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
        Assert.Equal(1, tickets.Runs);
    }

    [Fact]
    public async Task With_the_database_away_a_request_with_a_key_is_503_and_nothing_runs()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using var tickets = await StartAsync(database, TimeProvider.System);
        await DatabaseOutage.BeginAsync(database);

        using var answer = await tickets.PostAsync("k1", """{"title":"a"}""");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.NotNull(answer.Headers.RetryAfter);
        Assert.Equal(0, tickets.Runs);
    }

    private async Task<Tickets> StartAsync(Func<HttpContext, Task>? during = null) =>
        await StartAsync(await SampleModule.DatabaseAsync(postgres), TimeProvider.System, during);

    private static async Task<Tickets> StartAsync(string database, TimeProvider clock, Func<HttpContext, Task>? during = null)
    {
        var tickets = new Tickets(during ?? (_ => Task.CompletedTask));
        await tickets.StartAsync(database, clock);
        return tickets;
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static async Task<string?> CodeAsync(HttpResponseMessage answer)
    {
        using var problem = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancellation));
        return problem.RootElement.GetProperty("code").GetString();
    }

    /// <summary>Endpoints that count how often they run, and under which command.</summary>
    private sealed class Tickets(Func<HttpContext, Task> during) : IAsyncDisposable
    {
        private readonly ConcurrentQueue<string> _commands = new();
        private WebSample? _web;

        public WebSample Web => _web ?? throw new InvalidOperationException("Not started.");

        public string Token { get; private set; } = "";

        public int Runs => _commands.Count;

        public IEnumerable<string> Commands => _commands;

        public async Task StartAsync(string database, TimeProvider clock)
        {
            _web = await (await WebSample.StartAsync(database, clock, Map)).ReadyAsync();
            Token = await _web.TokenAsync("acme", "ann");
        }

        public Task<HttpResponseMessage> PostAsync(string? key, string body, string path = "/tickets", string? token = null) =>
            Web.SendAsync(HttpMethod.Post, path, Json(body), token ?? Token, key is null ? [] : [("Idempotency-Key", key)]);

        public ValueTask DisposeAsync() => Web.DisposeAsync();

        private void Map(IEndpointRouteBuilder app)
        {
            app.MapPost("/tickets", CreateAsync).WithIdempotency();
            app.MapPost("/others", CreateAsync).WithIdempotency();
            app.MapPost("/uploads", async (HttpContext context) =>
            {
                var hash = await SHA256.HashDataAsync(context.Request.Body, context.RequestAborted);
                return Idempotent.Once(hash, (command, _) =>
                {
                    _commands.Enqueue(command.Value);
                    return Task.FromResult<IResult>(TypedResults.Accepted($"/uploads/{command}"));
                });
            }).WithIdempotency(IdempotencyBody.HashedByHandler);
        }

        private async Task<IResult> CreateAsync(HttpContext context, CommandId command)
        {
            _commands.Enqueue(command.Value);
            await during(context);
            if (context.Response.StatusCode != StatusCodes.Status200OK || context.Items.ContainsKey("written"))
            {
                return Results.Empty;
            }

            context.Response.Headers.ETag = "\"1\"";
            return TypedResults.Created($"/tickets/{Guid.NewGuid()}", new { number = Guid.NewGuid() });
        }
    }
}
