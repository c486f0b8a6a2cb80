using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Wave16.ServiceDefaults;

/// <summary>Stops the host at start when an endpoint does not say who may call it, requires a scope nobody declared, or takes a time
/// that would be accepted without an offset.</summary>
internal sealed class EndpointGuard(IServiceProvider services, AccessCatalogue access) : IHostedLifecycleService
{
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        // Resolved late: routes exist only once the server has been started.
        var faults = Faults(services.GetRequiredService<EndpointDataSource>().Endpoints, access).ToList();
        return faults.Count == 0
            ? Task.CompletedTask
            : throw new InvalidOperationException("Endpoints that must not be served as they are:\n" + string.Join('\n', faults));
    }

    internal static IEnumerable<string> Faults(IEnumerable<Endpoint> endpoints, AccessCatalogue access)
    {
        foreach (var endpoint in endpoints)
        {
            var name = endpoint.DisplayName ?? endpoint.ToString() ?? "";
            if (endpoint.Metadata.GetMetadata<IAuthorizeData>() is null
                && endpoint.Metadata.GetMetadata<AuthorizationPolicy>() is null
                && endpoint.Metadata.GetMetadata<IAllowAnonymous>() is null)
            {
                yield return $"{name}: states no policy; use RequireScope, or AllowAnonymous on purpose";
            }

            foreach (var requirement in endpoint.Metadata.GetOrderedMetadata<ScopeRequirement>().Where(r => !access.IsDeclared(r.Scope)))
                yield return $"{name}: requires the undeclared scope '{requirement.Scope}'; declare it with AddScopes";
            foreach (var parameter in endpoint.Metadata.GetOrderedMetadata<IParameterBindingMetadata>())
            {
                var type = Nullable.GetUnderlyingType(parameter.ParameterInfo.ParameterType) ?? parameter.ParameterInfo.ParameterType;
                if (parameter.HasTryParse && (type == typeof(DateTimeOffset) || type == typeof(DateTime)))
                    yield return $"{name}: parameter '{parameter.Name}' would accept a time without offset; use Rfc3339Time";
            }
        }
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
