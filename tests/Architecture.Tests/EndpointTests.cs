using System.Reflection;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Modules;

namespace Wave16.Architecture.Tests;

/// <summary>Every endpoint states who may call it; the modules' own are never anonymous; and no two modules share a first path segment.</summary>
public sealed class EndpointTests
{
    [Fact]
    public async Task An_endpoint_without_a_policy_and_an_anonymous_one_of_a_module_are_found()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddAuthorization();
        await using var app = builder.Build();
        app.MapGet("/open", () => "");
        app.MapGet("/public", () => "").AllowAnonymous();
        app.MapGet("/of-module", () => "").AllowAnonymous().WithMetadata(new ModuleEndpoint("planted"));
        app.MapGet("/guarded", () => "").RequireAuthorization();
        Assert.Equal(["/open states no policy", "/of-module is a module's and anonymous"], Unguarded(EndpointsOf(app)));
    }

    [Fact]
    public void A_shared_first_segment_is_found() => Assert.Equal(
        ["findings is shared by a, b"],
        Shared([("a", "/findings/{id}"), ("b", "/findings"), ("b", "/incidents"), ("a", "/audit/a"), ("b", "/audit/b"), ("a", "/events/a/dead-letters")]));

    [Fact]
    public async Task An_enum_that_is_read_from_a_query_is_found()
    {
        await using var app = WebApplication.CreateSlimBuilder().Build();
        app.MapGet("/days", (DayOfWeek day, [AsParameters] Planted more, string text) => $"{day}{more}{text}");
        Assert.Equal(
            ["/days reads day as C# calls its values, and the document lists other names", "/days reads Until as C# calls its values, and the document lists other names"],
            OfQueryEnums(EndpointsOf(app)));
    }

    [Fact]
    public async Task No_endpoint_of_a_module_reads_an_enum_from_a_query()
    {
        await using var app = AllModules();
        Assert.Empty(OfQueryEnums(EndpointsOf(app)));
    }

    [Fact]
    public async Task Every_endpoint_of_every_module_states_a_policy()
    {
        await using var app = AllModules();
        Assert.NotEmpty(OfModules(EndpointsOf(app)));
        Assert.Empty(Unguarded(EndpointsOf(app)));
    }

    [Fact]
    public async Task No_two_modules_share_a_first_path_segment()
    {
        await using var app = AllModules();
        Assert.Empty(Shared(OfModules(EndpointsOf(app))));
    }

    private sealed record Planted(DayOfWeek? Until, int Count);

    // Minimal APIs parse an enum with Enum.TryParse: "InProgress" and 3 are read, "in-progress" is refused.
    private static IEnumerable<string> OfQueryEnums(IEnumerable<RouteEndpoint> endpoints) =>
        from endpoint in endpoints
        from parameter in endpoint.Metadata.OfType<MethodInfo>().SelectMany(handler => handler.GetParameters())
        from value in parameter.IsDefined(typeof(AsParametersAttribute), inherit: false)
            ? parameter.ParameterType.GetProperties().Select(property => (property.Name, Type: property.PropertyType))
            : [(Name: parameter.Name ?? "", Type: parameter.ParameterType)]
        where (Nullable.GetUnderlyingType(value.Type) ?? value.Type).IsEnum
        select $"{endpoint.RoutePattern.RawText} reads {value.Name} as C# calls its values, and the document lists other names";

    private static WebApplication AllModules()
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development", ApplicationName = typeof(EndpointTests).Assembly.GetName().Name });
        foreach (var module in Repository.Modules)
        {
            builder.Configuration[$"ConnectionStrings:{module.Name}-db"] = "Host=127.0.0.1;Database=never_opened;Username=nobody";
        }

        builder.AddModules(Repository.Modules);
        var app = builder.Build();
        app.MapModules();
        return app;
    }

    private static List<RouteEndpoint> EndpointsOf(IEndpointRouteBuilder app) => [.. app.DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()];

    private static IEnumerable<(string Module, string Path)> OfModules(IEnumerable<RouteEndpoint> endpoints) =>
        from endpoint in endpoints
        let module = endpoint.Metadata.GetMetadata<ModuleEndpoint>()?.Module
        where module is not null
        select (module, endpoint.RoutePattern.RawText ?? "");

    private static IEnumerable<string> Unguarded(IEnumerable<RouteEndpoint> endpoints)
    {
        foreach (var endpoint in endpoints)
        {
            var anonymous = endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null;
            if (anonymous && endpoint.Metadata.GetMetadata<ModuleEndpoint>() is not null)
            {
                yield return $"{endpoint.RoutePattern.RawText} is a module's and anonymous";
            }
            else if (!anonymous && endpoint.Metadata.GetMetadata<IAuthorizeData>() is null && endpoint.Metadata.GetMetadata<AuthorizationPolicy>() is null)
            {
                yield return $"{endpoint.RoutePattern.RawText} states no policy";
            }
        }
    }

    // The platform's own paths name the module in their second segment.
    private static IEnumerable<string> Shared(IEnumerable<(string Module, string Path)> paths) =>
        from path in paths
        let segments = path.Path.Split('/', StringSplitOptions.RemoveEmptyEntries)
        where segments.Length > 0 && !(segments is ["audit" or "events", var owner, ..] && owner == path.Module)
        group path.Module by segments[0] into owners
        where owners.Distinct().Count() > 1
        select $"{owners.Key} is shared by {string.Join(", ", owners.Distinct())}";
}
