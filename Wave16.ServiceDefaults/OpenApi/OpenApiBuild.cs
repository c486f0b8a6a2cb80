using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Wave16.ServiceDefaults;

/// <summary>The build runs the program to read its OpenAPI document. Nothing must be started then.</summary>
public static class OpenApiBuild
{
    public static bool IsRunning { get; } = Assembly.GetEntryAssembly()?.GetName().Name == "GetDocument.Insider";

    /// <summary>Call last before <c>Build()</c>: while the document is being built, drops every hosted service that is not ASP.NET
    /// Core's own (a silo, a dispatcher, a migration). Does nothing otherwise.</summary>
    public static void RemoveHostedServices(IServiceCollection services)
    {
        if (IsRunning)
            RemoveForeignHostedServices(services);
    }

    internal static void RemoveForeignHostedServices(IServiceCollection services)
    {
        for (var i = services.Count - 1; i >= 0; i--)
        {
            var service = services[i];
            if (service.ServiceType == typeof(IHostedService)
                && !service.IsKeyedService
                && (service.ImplementationType ?? service.ImplementationInstance?.GetType())?.Assembly.GetName().Name?.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) != true)
            {
                services.RemoveAt(i);
            }
        }
    }
}
