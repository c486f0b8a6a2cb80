using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class OpenApiTests
{
    private sealed record Thing(string Name, Step Step, DateTimeOffset At, DateTimeOffset? Until = null);

    private enum Step
    {
        New,
        ReadyToGo,
    }

    private sealed record Search([property: FromQuery(Name = "notBefore")] Rfc3339Time? From);

    private static Task<Service> Start(string environment = "Development") => Service.Start(
        app =>
        {
            var things = app.MapGroup("/things").WithGroupName("sample").RequireScope("things.read");
            things.MapGet("/found", ([AsParameters] Search search) => $"{search.From}").ProducesProblem(StatusCodes.Status409Conflict);
            things.MapGet("", (PageRequest page, Rfc3339Time? since) => new Page<Thing>([], $"{page} {since}"));
            things.MapPut("/{id}", (string id, IfMatch ifMatch, Thing thing) => ETagResult.Ok(thing, ifMatch.Version ?? id.Length));
            things.MapPost("", (Thing thing, Caller caller) => ETagResult.Created("/things/" + caller.Tenant, thing, 1))
                .Deprecated(DateTimeOffset.UnixEpoch.AddDays(20_000), DateTimeOffset.UnixEpoch.AddDays(20_100));
            app.MapGet("/open", () => "").WithGroupName("sample").AllowAnonymous();
            app.MapGet("/elsewhere", () => "").WithGroupName("other").AllowAnonymous();
        },
        environment,
        environment == "Development" ? [] : [("Authentication:Authority", "https://authority.example")],
        builder => builder.Services.AddWave16OpenApi("sample", "Sample").AddWave16OpenApi("other", "Other")
            .AddScopes(new Scope("things.read", "sample", "read things", Access.Reader)));

    private static async Task<JsonElement> Document()
    {
        await using var service = await Start();
        var answer = await service.Get("/openapi/sample.json");
        Assert.Equal(200, answer.Status);
        return answer.Json;
    }

    [Fact]
    public async Task A_document_is_OpenAPI_3_1_and_has_its_own_modules_paths()
    {
        var document = await Document();

        Assert.StartsWith("3.1", document.GetProperty("openapi").GetString(), StringComparison.Ordinal);
        Assert.Equal("Sample", document.GetProperty("info").GetProperty("title").GetString());
        Assert.Equal(["/open", "/things", "/things/found", "/things/{id}"], document.GetProperty("paths").EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task An_operation_names_the_token_and_scope_it_needs()
    {
        var document = await Document();

        var scheme = document.GetProperty("components").GetProperty("securitySchemes").GetProperty("bearer");
        Assert.Equal(("http", "bearer"), (scheme.GetProperty("type").GetString(), scheme.GetProperty("scheme").GetString()));
        Assert.Equal("""[{"bearer":["things.read"]}]""", Compact(Operation(document, "/things", "get").GetProperty("security")));
        Assert.False(Operation(document, "/open", "get").TryGetProperty("security", out _));
    }

    [Theory]
    [InlineData("/things", "get", "200 400 401 403 429 500 503")]
    [InlineData("/things/{id}", "put", "200 400 401 403 404 412 413 415 428 429 500 503")]
    [InlineData("/open", "get", "200 400 429 500 503")]
    public async Task An_operation_lists_its_problems(string path, string method, string statuses)
    {
        var document = await Document();

        var responses = Operation(document, path, method).GetProperty("responses").EnumerateObject().ToList();

        Assert.Equal(statuses, string.Join(' ', responses.Select(r => r.Name).Order(StringComparer.Ordinal)));
        Assert.All(responses.Where(r => r.Name[0] != '2'), r => Assert.Equal("""{"$ref":"#/components/responses/Problem"}""", Compact(r.Value)));
        var problem = document.GetProperty("components").GetProperty("responses").GetProperty("Problem").GetProperty("content");
        Assert.Equal("#/components/schemas/Problem", problem.GetProperty("application/problem+json").GetProperty("schema").GetProperty("$ref").GetString());
        Assert.True(document.GetProperty("components").GetProperty("schemas").GetProperty("Problem").GetProperty("properties").TryGetProperty("code", out _));
    }

    [Fact]
    public async Task What_our_own_types_bind_is_described()
    {
        var document = await Document();

        var list = Parameters(Operation(document, "/things", "get"));
        Assert.Equal(["cursor", "limit", "since"], list.Keys.Order(StringComparer.Ordinal));
        Assert.Equal("date-time", list["since"].GetProperty("schema").GetProperty("format").GetString());
        Assert.Equal(500, list["limit"].GetProperty("schema").GetProperty("maximum").GetInt32());
        var put = Operation(document, "/things/{id}", "put");
        Assert.True(Parameters(put)["If-Match"].GetProperty("required").GetBoolean());
        Assert.True(put.GetProperty("responses").GetProperty("200").GetProperty("headers").TryGetProperty("ETag", out _));
    }

    [Fact]
    public async Task Times_are_described_as_the_texts_they_are()
    {
        var properties = (await Document()).GetProperty("components").GetProperty("schemas").GetProperty("Thing").GetProperty("properties");

        Assert.Equal("""{"type":"string","format":"date-time"}""", Compact(properties.GetProperty("at")));
        Assert.Equal("""{"type":["null","string"],"format":"date-time"}""", Compact(properties.GetProperty("until")));
    }

    [Fact]
    public async Task A_time_that_a_parameter_binds_is_described_where_it_stands_by_whichever_name()
    {
        var document = await Document();

        Assert.Equal("""{"type":"string","format":"date-time"}""", Compact(Parameters(Operation(document, "/things/found", "get"))["notBefore"].GetProperty("schema")));
        Assert.Equal("""{"type":"string","format":"date-time"}""", Compact(Parameters(Operation(document, "/things", "get"))["since"].GetProperty("schema")));
    }

    [Fact]
    public async Task Only_schemas_that_something_refers_to_are_in_the_document()
    {
        var document = await Document();

        Assert.Equal(["PageOfThing", "Problem", "Step", "Thing"], document.GetProperty("components").GetProperty("schemas").EnumerateObject().Select(schema => schema.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Enums_are_described_as_they_are_written()
    {
        var document = await Document();

        Assert.Equal("""["new","ready-to-go"]""", Compact(document.GetProperty("components").GetProperty("schemas").GetProperty("Step").GetProperty("enum")));
    }

    [Fact]
    public async Task What_is_going_away_says_so_in_the_document_and_in_every_answer()
    {
        await using var service = await Start();

        var answer = await service.PostJson("/things", """{"name":"a","step":"new","at":"2026-01-01T00:00:00Z"}""", await service.Token("acme", "things.read"));
        var refused = await service.PostJson("/things", "{}");
        var document = (await service.Get("/openapi/sample.json")).Json;

        Assert.Equal(201, answer.Status);
        Assert.Equal((401, "@1728000000"), (refused.Status, refused.Headers["Deprecation"]));
        Assert.Equal((201, "@1728000000", "Sun, 12 Jan 2025 00:00:00 GMT"), (answer.Status, answer.Headers["Deprecation"], answer.Headers["Sunset"]));
        Assert.True(Operation(document, "/things", "post").GetProperty("deprecated").GetBoolean());
    }

    [Fact]
    public async Task The_reference_loads_nothing_from_elsewhere()
    {
        await using var service = await Start();

        var page = await service.Get("/scalar/");
        var loaded = Regex.Matches(page.Body, "(?:src|href)=\"(?<url>[^\"]+)\"").Select(m => m.Groups["url"].Value).ToList();

        Assert.Equal(200, page.Status);
        Assert.NotEmpty(loaded);
        Assert.DoesNotMatch("(?:src|href|import)[^>]{0,20}[\"'](?:https?:)?//", page.Body);
        Assert.DoesNotContain("cdn.", page.Body, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("fonts.", page.Body, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("\"withDefaultFonts\":false", page.Body.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("\"telemetry\":false", page.Body.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        foreach (var script in loaded.Where(url => url.EndsWith(".js", StringComparison.Ordinal)))
            Assert.Equal(200, (await service.Get(new Uri(new Uri("http://x/scalar/"), script).AbsolutePath)).Status);
    }

    [Theory]
    [InlineData("/openapi/sample.json")]
    [InlineData("/scalar/")]
    public async Task Outside_Development_there_is_no_reference(string path)
    {
        await using var service = await Start("Production");

        Assert.Equal(404, (await service.Get(path)).Status);
    }

    [Fact]
    public void While_the_document_is_built_only_the_frameworks_hosted_services_stay()
    {
        var builder = WebApplication.CreateBuilder();
        builder.Services.AddDataProtection();
        builder.Services.AddHostedService<Dispatcher>();
        builder.Services.AddSingleton<IHostedService>(_ => new Dispatcher());
        builder.Services.AddSingleton<IHostedService>(new Dispatcher());
        builder.Services.AddSingleton<Dispatcher>();

        OpenApiBuild.RemoveForeignHostedServices(builder.Services);

        Assert.Equal(
            ["DataProtectionHostedService"], builder.Services.Where(s => s.ServiceType == typeof(IHostedService)).Select(s => s.ImplementationType?.Name ?? s.ToString()));
        Assert.Single(builder.Services, s => s.ServiceType == typeof(Dispatcher));
        Assert.False(OpenApiBuild.IsRunning);
    }

    private sealed class Dispatcher : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private static JsonElement Operation(JsonElement document, string path, string method) => document.GetProperty("paths").GetProperty(path).GetProperty(method);

    private static Dictionary<string, JsonElement> Parameters(JsonElement operation) =>
        operation.GetProperty("parameters").EnumerateArray().ToDictionary(p => p.GetProperty("name").GetString() ?? "", StringComparer.Ordinal);

    private static string Compact(JsonElement element) => JsonSerializer.Serialize(element);
}
