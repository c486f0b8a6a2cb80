using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class ProblemTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private sealed record Thing(
        string Name, DateTimeOffset SeenAt, Level Level = Level.Low, int Count = 0, IReadOnlyList<Thing>? Parts = null,
        IReadOnlyDictionary<string, IReadOnlyList<Step?>>? Steps = null);

    [JsonConverter(typeof(JsonStringEnumConverter<Level>))]
    private enum Level
    {
        Low,
        VeryHigh,
    }

    private static Task<Service> Start(Action<WebApplication> map, Action<WebApplicationBuilder>? add = null, string environment = "Development") =>
        Service.Start(map, environment, environment == "Development" ? null : [("Authentication:Authority", "https://authority.example")], add);

    private static async Task<Answer> Failing(Exception exception, Action<WebApplicationBuilder>? add = null)
    {
        await using var service = await Start(app => app.MapGet("/fail", IResult () => throw exception).AllowAnonymous(), add);
        return await service.Get("/fail?email=ada@example.com");
    }

    [Theory]
    [InlineData("Development")]
    [InlineData("Production")]
    public async Task An_unknown_route_is_a_404_for_anyone(string environment)
    {
        await using var service = await Start(_ => { }, environment: environment);

        var answer = await service.Get("/no/such/route", token: null, ("Accept", "text/html"));

        Assert.Equal((404, "not-found"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task A_wrong_method_is_a_405_that_names_the_right_one()
    {
        await using var service = await Start(app => app.MapGet("/things", () => "").RequireAuthorization());

        var answer = await service.PostJson("/things", "{}", await service.Token("acme"));

        Assert.Equal((405, "method-not-allowed", "GET"), (answer.Status, answer.Problem(), answer.Headers["Allow"]));
    }

    [Fact]
    public async Task A_refusal_becomes_its_codes_status_with_its_errors()
    {
        var refusal = new Refusal("thing.invalid-transition", "It is already closed.", [new FieldError("/status", "must not be open")]);
        await using var service = await Start(
            app => app.MapGet("/refuse", () => refusal.ToResult()).AllowAnonymous(),
            builder => builder.Services.AddProblemCodes(new ProblemCode("thing.invalid-transition", 409, "The thing cannot go there")));

        var answer = await service.Get("/refuse");

        Assert.Equal((409, "thing.invalid-transition"), (answer.Status, answer.Problem()));
        Assert.Equal("The thing cannot go there", answer.Json.GetProperty("title").GetString());
        Assert.Equal("It is already closed.", answer.Json.GetProperty("detail").GetString());
        Assert.Equal(["/status must not be open"], answer.Errors());
        Assert.Equal("no-store", answer.Headers["Cache-Control"]);
    }

    [Fact]
    public async Task A_refusal_with_an_undeclared_code_is_our_bug()
    {
        await using var service = await Start(app => app.MapGet("/refuse", () => new Refusal("no.such-code", "secret detail").ToResult()).AllowAnonymous());

        var answer = await service.Get("/refuse");

        Assert.Equal((500, "internal"), (answer.Status, answer.Problem()));
        Assert.DoesNotContain("secret detail", answer.Body, StringComparison.Ordinal);
        Assert.Contains(service.Log.Entries, e => e.Level == LogLevel.Error && e.Text.Contains("no.such-code", StringComparison.Ordinal));
    }

    [Fact]
    public void One_code_cannot_mean_two_things()
    {
        Assert.Throws<ArgumentException>(() => new ProblemCatalogue([new("not-found", 410, "Gone")]));
        Assert.Throws<ArgumentException>(() => new ProblemCatalogue([new("fine", 200, "Fine")]));
    }

    [Fact]
    public async Task An_empty_error_status_of_a_handler_gets_its_problem()
    {
        await using var service = await Start(app =>
        {
            app.MapGet("/missing", () => TypedResults.NotFound()).AllowAnonymous();
            app.MapGet("/teapot", () => TypedResults.StatusCode(418)).AllowAnonymous();
        });

        Assert.Equal("not-found", (await service.Get("/missing")).Problem());
        Assert.Equal("http.418", (await service.Get("/teapot")).Problem());
    }

    [Fact]
    public async Task The_trace_id_is_that_of_the_callers_trace()
    {
        await using var service = await Start(_ => { });

        var answer = await service.Get("/none", token: null, ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));

        Assert.Equal("0af7651916cd43dd8448eb211c80319c", answer.Json.GetProperty("traceId").GetString());
    }

    public static TheoryData<string, string, string, string> BadBodies => new()
    {
        { "", "request.malformed", "", "is required" },
        { "null", "request.malformed", "", "is required" },
        { """{"name":"a",""", "request.malformed", "", "is not valid JSON at line 1, byte 12" },
        { "{\"name\":\"a\",\n\"seenAt\":}", "request.malformed", "/seenAt", "is not valid JSON at line 2, byte 10" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00"}""", "request.invalid", "/seenAt", Rfc3339Time.Expected },
        { """{"name":"a","seenAt":"2026-01-01"}""", "request.invalid", "/seenAt", Rfc3339Time.Expected },
        { """{"name":"a","seenAt":1767225600}""", "request.invalid", "/seenAt", Rfc3339Time.Expected },
        { """{"seenAt":"2026-01-01T00:00:00Z"}""", "request.invalid", "/name", "is required" },
        { """{"name":null,"seenAt":"2026-01-01T00:00:00Z"}""", "request.invalid", "/name", "must not be null" },
        { """{"name":"a","name":"b","seenAt":"2026-01-01T00:00:00Z"}""", "request.invalid", "/name", "is given twice" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","parts":[{"name":"b","seenAt":"2026-01-01T00:00:00Z","count":"x"}]}""", "request.invalid", "/parts/0/count", "has a value that is not accepted here" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","count":99999999999}""", "request.invalid", "/count", "has a value that is not accepted here" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","level":"high"}""", "request.invalid", "/level", "must be one of low, very-high" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","parts":[{"name":"b","seenAt":"2026-01-01T00:00:00Z","Steps":{"x":["new",null,"old"]}}]}""", "request.invalid", "/parts/0/Steps/x/2", "must be one of new, ready-to-go" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","cuont":1}""", "request.invalid", "/cuont", "is not a member of this body" },
        { """{"nmae":"a","seenAt":"2026-01-01T00:00:00Z"}""", "request.invalid", "/nmae", "is not a member of this body" },
        { """{"name":"a","seenAt":"2026-01-01T00:00:00Z","parts":[{"name":"b","it's a/b":{},"seenAt":"2026-01-01T00:00:00Z"}]}""", "request.invalid", "/parts/0/it's a~1b", "is not a member of this body" },
    };

    [Theory]
    [MemberData(nameof(BadBodies))]
    public async Task A_body_that_cannot_be_read_points_at_what_is_wrong(string body, string code, string pointer, string reason)
    {
        foreach (var environment in (string[])["Development", "Production"])
        {
            await using var service = await Start(app => app.MapPost("/things", (Thing thing) => thing.Name).AllowAnonymous(), environment: environment);

            var answer = await service.PostJson("/things", body);

            Assert.Equal((400, code), (answer.Status, answer.Problem()));
            Assert.Equal([pointer + " " + reason], answer.Errors());
            Assert.DoesNotContain("Wave16.", answer.Body, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task JSON_deeper_than_64_levels_is_refused()
    {
        await using var service = await Start(app => app.MapPost("/things", (System.Text.Json.Nodes.JsonNode node) => node.ToString()).AllowAnonymous());

        var deep = await service.PostJson("/things", new string('[', 65) + new string(']', 65));
        var allowed = await service.PostJson("/things", new string('[', 64) + new string(']', 64));

        Assert.Equal((400, "request.malformed", 200), (deep.Status, deep.Problem(), allowed.Status));
    }

    [Fact]
    public async Task Enums_are_kebab_case_and_what_is_none_is_answered_with_those_there_are()
    {
        await using var service = await Start(app => app.MapPost("/things", (Sample sample) => sample).AllowAnonymous());

        var answer = await service.PostJson("/things", """{"step":"ready-to-go","at":"2026-01-01T02:00:00.5+02:00"}""");
        var number = await service.PostJson("/things", """{"step":1,"at":"2026-01-01T02:00:00Z"}""");

        Assert.Equal("""{"step":"ready-to-go","at":"2026-01-01T02:00:00.5+02:00"}""", answer.Body);
        Assert.Equal(["/step must be one of new, ready-to-go"], number.Errors());
    }

    private sealed record Sample(Step Step, DateTimeOffset At);

    private enum Step
    {
        New,
        ReadyToGo,
    }

    [Fact]
    public async Task Another_media_type_is_a_415()
    {
        await using var service = await Start(app => app.MapPost("/things", (Thing thing) => thing.Name).AllowAnonymous());
        using var text = new StringContent("name: a", Encoding.UTF8, "text/yaml");

        var answer = await service.Send(HttpMethod.Post, "/things", token: null, text);

        Assert.Equal((415, "unsupported-media-type"), (answer.Status, answer.Problem()));
    }

    [Theory]
    [InlineData("/query?count=many&since=2026-01-01T00:00:00Z", "?count must be a whole number")]
    [InlineData("/query?count=1", "?since is required")]
    [InlineData("/query?count=1&since=2026-01-01T00:00:00Z&name=a%00b", "?name must not contain the character U+0000")]
    [InlineData("/query?count=1&since=2026-01-01T00:00:00", "?since " + Rfc3339Time.Expected)]
    [InlineData("/query?count=1&since=2026-01-01", "?since " + Rfc3339Time.Expected)]
    [InlineData("/query?count=1&since=2026-02-30T00:00:00Z", "?since " + Rfc3339Time.Expected)]
    [InlineData("/query?count=1&since=2026-01-01T00:00:00Z&id=7", "?id must be a UUID")]
    public async Task A_parameter_that_cannot_be_bound_is_named(string path, string error)
    {
        await using var service = await Start(app =>
            app.MapGet("/query", (int count, Rfc3339Time since, Guid? id) => $"{count} {since.Value} {id}").AllowAnonymous());

        var answer = await service.Get(path);

        Assert.Equal((400, "request.invalid"), (answer.Status, answer.Problem()));
        Assert.Equal([error], answer.Errors());
    }

    [Fact]
    public async Task An_unexpected_failure_says_nothing_about_our_inside_and_everything_in_the_log()
    {
        await using var service = await Start(app => app.MapGet("/fail/{id}", IResult (string id) => throw new InvalidOperationException("the secret " + id)).AllowAnonymous());

        var answer = await service.Get("/fail/7?email=ada@example.com");

        Assert.Equal((500, "internal"), (answer.Status, answer.Problem()));
        Assert.DoesNotContain("secret", answer.Body, StringComparison.Ordinal);
        var entry = Assert.Single(service.Log.Entries, e => e.Level >= LogLevel.Warning);
        Assert.Contains("GET /fail/{id} failed", entry.Text, StringComparison.Ordinal);
        Assert.Contains("the secret 7", entry.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("ada@example.com", entry.Text, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Outages => new()
    {
        { "refused connection", "unavailable" },
        { "57P01", "unavailable" },
        { "57P03", "unavailable" },
        { "53300", "unavailable" },
        { "53100", "unavailable" },
        { "25006", "unavailable" },
        { "57014", "timed-out" },
        { "socket", "unavailable" },
        { "neighbour", "unavailable" },
        { "open breaker", "unavailable" },
        { "grain timeout", "timed-out" },
        { "silo unavailable", "unavailable" },
        { "gateway too busy", "overloaded" },
        { "wrapped", "unavailable" },
    };

    [Theory]
    [MemberData(nameof(Outages))]
    public async Task What_will_pass_is_a_503_that_says_when_to_come_back(string outage, string code)
    {
        Exception exception = outage switch
        {
            "refused connection" => new NpgsqlException("no", new SocketException((int)SocketError.ConnectionRefused)),
            "socket" => new SocketException((int)SocketError.HostUnreachable),
            "neighbour" => new HttpRequestException("db-7.internal refused"),
            "open breaker" => new Polly.CircuitBreaker.BrokenCircuitException(),
            "grain timeout" => new TimeoutException("Response did not arrive on time"),
            "silo unavailable" => new Orleans.Runtime.SiloUnavailableException("S10.0.0.7"),
            "gateway too busy" => new Orleans.Runtime.GatewayTooBusyException(),
            "wrapped" => new InvalidOperationException("save failed", new PostgresException("no", "FATAL", "FATAL", "57P01")),
            _ => new PostgresException("password of db-7.internal", "FATAL", "FATAL", outage),
        };

        var answer = await Failing(exception);

        Assert.Equal((503, code), (answer.Status, answer.Problem()));
        Assert.Equal("2", answer.Headers["Retry-After"]);
        Assert.DoesNotContain("internal", answer.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_error_that_will_not_pass_is_a_500()
    {
        var answer = await Failing(new PostgresException("no such table", "ERROR", "ERROR", "42P01"));

        Assert.Equal((500, "internal"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task A_database_that_is_down_is_a_503()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        await using var source = NpgsqlDataSource.Create($"Host=127.0.0.1;Port={port};Username=u;Password=hidden-word");
        await using var service = await Start(app => app.MapGet("/rows", async (CancellationToken cancel) =>
        {
            await using var connection = await source.OpenConnectionAsync(cancel);
            return "open";
        }).AllowAnonymous());

        var answer = await service.Get("/rows");

        Assert.Equal((503, "unavailable", "2"), (answer.Status, answer.Problem(), answer.Headers["Retry-After"]));
        Assert.DoesNotContain(service.Log.Entries, e => e.Text.Contains("hidden-word", StringComparison.Ordinal));
        Assert.DoesNotContain(service.Log.Entries, e => e.Level >= LogLevel.Error);
    }

    [Fact]
    public async Task An_exhausted_pool_is_told_from_a_database_that_is_away()
    {
        await using var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(await postgres.CreateDatabaseAsync(Cancellation)) { MaxPoolSize = 1, Timeout = 1 });
        await using var taken = await source.OpenConnectionAsync(Cancellation);
        await using var service = await Start(app => app.MapGet("/rows", async (CancellationToken cancel) =>
        {
            await using var connection = await source.OpenConnectionAsync(cancel);
            return "open";
        }).AllowAnonymous());

        var answer = await service.Get("/rows");

        Assert.Equal((503, "overloaded", "2"), (answer.Status, answer.Problem(), answer.Headers["Retry-After"]));
        Assert.Equal("The service is busy: every connection to its database is in use.", answer.Json.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task A_modules_own_mapper_comes_first()
    {
        var answer = await Failing(
            new TimeoutException(), builder => builder.Services.AddSingleton<IExceptionMapper>(new TimeoutsAreConflicts()));

        Assert.Equal((409, "conflict"), (answer.Status, answer.Problem()));
    }

    private sealed class TimeoutsAreConflicts : IExceptionMapper
    {
        public ExceptionAnswer? Map(Exception exception) =>
            exception is TimeoutException ? new ExceptionAnswer(ProblemCodes.Conflict, "Decide again.") : null;
    }

    [Fact]
    public async Task A_client_that_hangs_up_is_no_error_of_ours()
    {
        var entered = new TaskCompletionSource();
        var never = new TaskCompletionSource();
        var ended = new TaskCompletionSource<int>();
        await using var service = await Start(
            app => app.MapGet("/wait", async (CancellationToken cancel) =>
            {
                entered.SetResult();
                await never.Task.WaitAsync(cancel);
            }).AllowAnonymous(),
            builder => builder.Services.AddSingleton<IStartupFilter>(new Outermost(ended)));
        using var hangUp = new CancellationTokenSource();

        var request = service.Client.GetAsync("/wait", hangUp.Token);
        await entered.Task.WaitAsync(TestContext.Current.CancellationToken);
        await hangUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);

        Assert.Equal(499, await ended.Task.WaitAsync(TestContext.Current.CancellationToken));
        Assert.DoesNotContain(service.Log.Entries, e => e.Level >= LogLevel.Warning);
    }

    private sealed class Outermost(TaskCompletionSource<int> ended) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (HttpContext http, RequestDelegate inner) =>
            {
                await inner(http);
                ended.TrySetResult(http.Response.StatusCode);
            });
            next(app);
        };
    }

    [Theory]
    [InlineData("$", "")]
    [InlineData("$.findings[3].cve", "/findings/3/cve")]
    [InlineData("$['odd.name'][0].a~b", "/odd.name/0/a~0b")]
    [InlineData("$['a/b'].c", "/a~1b/c")]
    [InlineData(null, "")]
    public void A_serializers_path_becomes_a_JSON_pointer(string? path, string pointer) =>
        Assert.Equal(pointer, BadRequests.ToPointer(path));
}
