namespace Wave16.AppHost;

/// <summary>
/// The systems around Wave 16, by name: here one project of stand-ins, when published external services whose address is a
/// parameter <c>{name}-url</c>. Either way a module finds them under <c>Neighbours:{name}:Url</c>.
/// </summary>
internal sealed class Neighbours(IDistributedApplicationBuilder builder, IResourceBuilder<ProjectResource>? standIns)
{
    private readonly Dictionary<string, IResourceBuilder<ExternalServiceResource>> _external = new(StringComparer.Ordinal);

    public static Neighbours AddTo(IDistributedApplicationBuilder builder) =>
        new(builder, builder.ExecutionContext.IsPublishMode
            ? null
            : builder.AddProject<Projects.Wave16_Neighbours>("neighbours", launchProfileName: null).WithHttp());

    public void ConnectTo(IResourceBuilder<ProjectResource> module, string name)
    {
        if (standIns is not null)
        {
            module.WithReference(standIns).WaitFor(standIns)
                .WithEnvironment($"Neighbours__{name}__Url", $"https+http://{standIns.Resource.Name}/{name}/");
            return;
        }

        if (!_external.TryGetValue(name, out var service))
            _external.Add(name, service = builder.AddExternalService(name, builder.AddParameter($"{name}-url")));
        module.WithEnvironment($"Neighbours__{name}__Url", service);
    }
}

internal static class NeighboursExtensions
{
    public static IResourceBuilder<ProjectResource> WithNeighbours(
        this IResourceBuilder<ProjectResource> module, Neighbours neighbours, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            neighbours.ConnectTo(module, name);
        return module;
    }
}
