using Microsoft.AspNetCore.Routing;

namespace Wave16.Platform.Modules;

/// <summary>One of the eight services: it runs alone as an executable, or beside the others in Standalone, and cannot tell which.</summary>
public interface IModule
{
    /// <summary>Kebab-case: folder, resource name, queue prefix and OpenAPI document.</summary>
    string Name { get; }

    /// <summary>What the API reference and the landing page call it.</summary>
    string Title { get; }

    void AddServices(ModuleBuilder module);

    /// <param name="app">A route group of this module: its endpoints belong to its OpenAPI document.</param>
    void MapEndpoints(IEndpointRouteBuilder app);

    /// <summary>Where the module's numbered <c>.sql</c> files are embedded, under the logical name <c>&lt;module&gt;/0001_….sql</c>.</summary>
    System.Reflection.Assembly Migrations { get; }
}
