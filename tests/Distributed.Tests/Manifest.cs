using System.Text.Json;
using System.Text.RegularExpressions;

namespace Wave16.Distributed.Tests;

/// <summary>What the AppHost publishes, and azd deploys: https://aspire.dev/deployment/manifest-format/.</summary>
internal sealed partial class Manifest
{
    private readonly JsonElement _resources;
    private readonly string _folder;

    private Manifest(JsonElement resources, string folder) => (_resources, _folder) = (resources, folder);

    /// <summary>The processes of our own.</summary>
    public IReadOnlyList<string> Projects => Named("project.v0");

    public IReadOnlyList<string> Containers => Named("container.v0");

    public static Manifest Read(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return new Manifest(document.RootElement.GetProperty("resources").Clone(), Path.GetDirectoryName(path) ?? "");
    }

    /// <summary>The project file, as an absolute path.</summary>
    public string ProjectFile(string project) => Path.GetFullPath(Path.Combine(_folder, Text(Resource(project), "path")));

    public string Image(string container) => Text(Resource(container), "image");

    /// <summary>The environment of a container or a project, every expression in it resolved.</summary>
    public IReadOnlyDictionary<string, string> Environment(string resource, IManifestValues values) =>
        Resource(resource).GetProperty("env").EnumerateObject().ToDictionary(
            variable => variable.Name,
            variable => Resolve(variable.Value.GetString() ?? "", values),
            StringComparer.Ordinal);

    /// <summary>Replaces <c>{resource.path}</c>, and what comes in its place, until nothing is left to replace.</summary>
    /// <exception cref="InvalidOperationException">The manifest has no such resource, or the resource no such property.</exception>
    public string Resolve(string text, IManifestValues values) => Expression().Replace(text, expression =>
    {
        var (resource, path) = (expression.Groups["resource"].Value, expression.Groups["path"].Value);
        var element = Resource(resource);
        return (Text(element, "type"), path.Split('.')) switch
        {
            ("parameter.v0", ["value"]) => values.Parameter(resource),
            ("annotated.string", ["value"]) when Text(element, "filter") is "uri" => Uri.EscapeDataString(Resolve(Text(element, "value"), values)),
            (_, ["connectionString"]) => Resolve(Text(element, "connectionString"), values),
            ("project.v0" or "container.v0", ["bindings", var binding, "scheme"]) => Text(Binding(element, binding), "scheme"),
            ("project.v0" or "container.v0", ["bindings", var binding, var property]) when Binding(element, binding).ValueKind == JsonValueKind.Object => values.Binding(resource, binding, property),
            _ => throw new InvalidOperationException($"{expression.Value} is not understood."),
        };
    });

    private static JsonElement Binding(JsonElement resource, string name) => resource.GetProperty("bindings").GetProperty(name);

    private static string Text(JsonElement element, string property) =>
        element.TryGetProperty(property, out var value) && value.GetString() is { } text ? text : throw new InvalidOperationException($"A resource has no {property}: {element}");

    private JsonElement Resource(string name) =>
        _resources.TryGetProperty(name, out var resource) ? resource : throw new InvalidOperationException($"The manifest has no {name}.");

    private List<string> Named(string type) => [.. _resources.EnumerateObject().Where(resource => Text(resource.Value, "type") == type).Select(resource => resource.Name)];

    [GeneratedRegex(@"\{(?<resource>[a-z0-9-]+)\.(?<path>[A-Za-z0-9_.-]+)\}", RegexOptions.ExplicitCapture)]
    private static partial Regex Expression();
}

/// <summary>What the deployment decides.</summary>
internal interface IManifestValues
{
    string Parameter(string name);

    /// <param name="resource">A project or a container.</param>
    /// <param name="binding">One of its bindings.</param>
    /// <param name="property"><c>host</c>, <c>port</c>, <c>targetPort</c> or <c>url</c>.</param>
    string Binding(string resource, string binding, string property);
}
