using System.Net;
using System.Text;
using System.Text.Json;

namespace Wave16.Conformance.Tests;

/// <summary>Health, problem details, and who may call.</summary>
public abstract class HttpConformance(Hosts hosts) : ModuleConformance(hosts)
{
    public sealed class Alone(Hosts hosts) : HttpConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.AloneAsync(module);
    }

    public sealed class InStandalone(Hosts hosts) : HttpConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.InStandaloneAsync(module);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task It_is_alive_and_ready_and_names_its_database(string module)
    {
        var host = await HostAsync(module);
        using var client = host.Anonymous();
        var alive = await GetJsonAsync(client, "/alive");
        var health = await GetJsonAsync(client, "/health");
        Assert.Equal("alive", alive.GetProperty("status").GetString());
        Assert.Empty(health.GetProperty("waitingFor").EnumerateArray());
        Assert.Equal("healthy", StateOf(health, $"{module}-db"));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_neighbour_that_is_down_is_reported_as_degraded_and_the_module_stays_in_service(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        using var control = new HttpClient { BaseAddress = host.Neighbours };
        var faults = new Uri($"/neighbours/{sample.Neighbour}/faults", UriKind.Relative);
        using var down = new StringContent("""{"down":true}""", Encoding.UTF8, "application/json");
        using var set = await control.PutAsync(faults, down, Cancel);
        set.EnsureSuccessStatusCode();
        try
        {
            await sample.RaiseEverythingAsync(client);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
            patience.CancelAfter(TimeSpan.FromSeconds(60));
            using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            var health = await GetJsonAsync(client, "/health");
            while (StateOf(health, sample.Neighbour) != "degraded")
            {
                await look.WaitForNextTickAsync(patience.Token);
                health = await GetJsonAsync(client, "/health");
            }

            Assert.Equal("degraded", health.GetProperty("status").GetString());
            Assert.NotEmpty(await sample.MakeAsync(client, 1));
        }
        finally
        {
            using var up = new StringContent("{}", Encoding.UTF8, "application/json");
            using var reset = await control.PutAsync(faults, up, CancellationToken.None);
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task What_is_not_there_and_what_cannot_be_done_there_are_problems(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        using var unknown = await client.GetAsync(new Uri($"{sample.List}-that-is-not-there", UriKind.Relative), Cancel);
        await ProblemAsync(unknown, HttpStatusCode.NotFound, "not-found");
        using var trace = new HttpRequestMessage(HttpMethod.Patch, sample.List);
        using var method = await client.SendAsync(trace, Cancel);
        await ProblemAsync(method, HttpStatusCode.MethodNotAllowed, "method-not-allowed");
        using var text = new StringContent("status=triaged", Encoding.UTF8, "text/plain");
        using var media = await SendAsync(client, sample.JsonPost, text);
        await ProblemAsync(media, HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Broken_JSON_is_malformed_and_a_bad_field_is_pointed_at(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        using var broken = new StringContent("{", Encoding.UTF8, "application/json");
        using var malformed = await SendAsync(client, sample.JsonPost, broken);
        await ProblemAsync(malformed, HttpStatusCode.BadRequest, "request.malformed");
        using var wrong = new StringContent(sample.BadField.Body, Encoding.UTF8, "application/json");
        using var refused = await SendAsync(client, sample.JsonPost, wrong);
        var problem = await ProblemAsync(refused, HttpStatusCode.BadRequest);
        Assert.Contains(sample.BadField.Pointer, problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_misspelt_member_of_a_body_is_pointed_at_whatever_is_done_with_it(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        foreach (var operation in await TakingJsonAsync(client, module, sample))
        {
            using var request = operation.ToRequest();
            request.Content = new StringContent("""{"misspelt":true}""", Encoding.UTF8, "application/json");
            request.Headers.TryAddWithoutValidation("If-Match", "*");
            using var refused = await client.SendAsync(request, Cancel);
            var problem = await ProblemAsync(refused, HttpStatusCode.BadRequest, "request.invalid");
            Assert.Equal((operation.Name, "/misspelt"), (operation.Name, Assert.Single(problem.GetProperty("errors").EnumerateArray()).GetProperty("pointer").GetString()));
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_body_of_no_type_and_one_in_a_charset_that_is_not_known_are_never_read_as_JSON(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        foreach (var operation in await TakingJsonAsync(client, module, sample))
        {
            foreach (var type in (string?[])[null, "application/json;charset=bogus", "application/json; charset=\"\"", "application/json; charset=utf-7"])
            {
                using var request = operation.ToRequest();
                request.Content = new ByteArrayContent("{}"u8.ToArray());
                request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
                request.Headers.TryAddWithoutValidation("If-Match", "*");
                using var refused = await client.SendAsync(request, Cancel);
                Assert.Equal((operation.Name, type, HttpStatusCode.UnsupportedMediaType), (operation.Name, type, refused.StatusCode));
                await ProblemAsync(refused, HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task JSON_may_name_its_charset_in_any_spelling(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        foreach (var type in (string[])["application/json; charset=UTF-8", "application/json;charset=\"utf-8\"", "application/problem+json"])
        {
            using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(sample.BadField.Body));
            content.Headers.TryAddWithoutValidation("Content-Type", type);
            using var read = await SendAsync(client, sample.JsonPost, content);
            await ProblemAsync(read, HttpStatusCode.BadRequest);
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_documented_operation_refuses_a_caller_without_a_token_and_one_without_its_scope(string module)
    {
        var host = await HostAsync(module);
        using var anonymous = host.Anonymous();
        using var forged = host.Anonymous();
        using var unscoped = await host.WithScopesAsync(NewTenant(), "nothing.at-all");
        forged.DefaultRequestHeaders.Authorization = new("Bearer", $"{unscoped.DefaultRequestHeaders.Authorization?.Parameter?[..^6]}AAAAAA");
        var operations = OpenApiDocument.Operations(await GetJsonAsync(anonymous, $"/openapi/{module}.json"));
        Assert.NotEmpty(operations);
        foreach (var operation in operations)
        {
            using var without = await anonymous.SendAsync(operation.ToRequest(), Cancel);
            await ProblemAsync(without, HttpStatusCode.Unauthorized, "unauthenticated");
            using var withForged = await forged.SendAsync(operation.ToRequest(), Cancel);
            await ProblemAsync(withForged, HttpStatusCode.Unauthorized, "unauthenticated");
            using var withOther = await unscoped.SendAsync(operation.ToRequest(), Cancel);
            await ProblemAsync(withOther, HttpStatusCode.Forbidden, "forbidden");
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task What_belongs_to_another_tenant_is_not_there(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var owner = await host.WithRolesAsync(NewTenant(), sample.Roles);
        using var stranger = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var entity = Assert.Single(await sample.MakeAsync(owner, 1));
        using var read = await stranger.GetAsync(new Uri(entity, UriKind.Relative), Cancel);
        await ProblemAsync(read, HttpStatusCode.NotFound, "not-found");
        using var change = sample.Change(entity);
        change.Headers.TryAddWithoutValidation("If-Match", "*");
        using var changed = await stranger.SendAsync(change, Cancel);
        await ProblemAsync(changed, HttpStatusCode.NotFound, "not-found");
        Assert.Empty((await GetJsonAsync(stranger, sample.List)).GetProperty("items").EnumerateArray());
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string path, HttpContent body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = body };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        return await client.SendAsync(request, Cancel);
    }

    private static string? StateOf(JsonElement health, string dependency) => health.GetProperty("dependencies").EnumerateArray()
        .Where(report => report.GetProperty("name").GetString() == dependency).Select(report => report.GetProperty("state").GetString()).SingleOrDefault();

    private static async Task<IReadOnlyList<Operation>> TakingJsonAsync(HttpClient client, string module, ModuleSample sample)
    {
        var operations = OpenApiDocument.Operations(await GetJsonAsync(client, $"/openapi/{module}.json"))
            .Where(operation => operation.TakesJson && !sample.PublishedBodies.Contains(operation.Name)).ToList();
        Assert.NotEmpty(operations);
        return operations;
    }
}
