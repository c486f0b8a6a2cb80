namespace Wave16.AppHost;

/// <summary>
/// The systems around Wave 16, by name: here one project of stand-ins, when published external services whose address and token
/// are the parameters <c>{name}-url</c> and <c>{name}-token</c>. Either way a module finds them under <c>Neighbours:{name}:Url</c>.
/// </summary>
internal sealed class Neighbours(IDistributedApplicationBuilder builder, IResourceBuilder<ProjectResource>? standIns)
{
    private readonly Dictionary<string, IResourceBuilder<ExternalServiceResource>> _external = new(StringComparer.Ordinal);

    public static Neighbours AddTo(IDistributedApplicationBuilder builder) =>
        new(builder, builder.ExecutionContext.IsPublishMode
            ? null
            : builder.AddProject<Projects.Wave16_Neighbours>("neighbours", launchProfileName: null).WithHttp());

    public void Connect(IResourceBuilder<ProjectResource> module, ReadOnlySpan<string> names)
    {
        if (standIns is not null)
            module.WithReference(standIns).WaitFor(standIns);
        foreach (var name in names)
        {
            if (standIns is null)
                module.WithEnvironment($"Neighbours__{name}__Url", External(name)).WithPublished($"Neighbours__{name}__Token", $"{name}-token", secret: true);
            else
                module.WithEnvironment($"Neighbours__{name}__Url", $"https+http://{standIns.Resource.Name}/{name}/");
        }
    }

    private IResourceBuilder<ExternalServiceResource> External(string name)
    {
        if (!_external.TryGetValue(name, out var service))
            _external.Add(name, service = builder.AddExternalService(name, builder.AddParameter($"{name}-url")));
        return service;
    }
}

internal static class NeighboursExtensions
{
    public static IResourceBuilder<ProjectResource> WithNeighbours(
        this IResourceBuilder<ProjectResource> module, Neighbours neighbours, params ReadOnlySpan<string> names)
    {
        neighbours.Connect(module, names);
        return module;
    }
}
