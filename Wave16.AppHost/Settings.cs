namespace Wave16.AppHost;

internal static class SettingsExtensions
{
    /// <summary>Who issues the tokens, for whom, and which claim names the tenant: asked for once, the same for every module.</summary>
    public static IResourceBuilder<ProjectResource> WithAuthority(this IResourceBuilder<ProjectResource> module) => module
        .WithPublished("Authentication__Authority", "authority", secret: false)
        .WithPublished("Authentication__Audience", "audience", secret: false)
        .WithPublished("Authentication__TenantClaim", "tenant-claim", secret: false);

    /// <summary>A key the module keeps for itself and refuses to start without outside Development, where it makes its own.</summary>
    /// <param name="module">Whose it is.</param>
    /// <param name="setting">The configuration key, <c>__</c> for <c>:</c>.</param>
    /// <param name="parameter">What azd calls it.</param>
    public static IResourceBuilder<ProjectResource> WithKey(this IResourceBuilder<ProjectResource> module, string setting, string parameter) =>
        module.WithPublished(setting, parameter, secret: true);

    /// <summary>A setting whose value azd asks for; when run here, the module does without.</summary>
    /// <param name="module">Whose it is; modules may share a parameter.</param>
    /// <param name="setting">The configuration key, <c>__</c> for <c>:</c>.</param>
    /// <param name="parameter">What azd calls it.</param>
    /// <param name="secret">Not shown.</param>
    public static IResourceBuilder<ProjectResource> WithPublished(this IResourceBuilder<ProjectResource> module, string setting, string parameter, bool secret)
    {
        var builder = module.ApplicationBuilder;
        if (!builder.ExecutionContext.IsPublishMode)
            return module;
        var known = builder.Resources.OfType<ParameterResource>().SingleOrDefault(resource => resource.Name == parameter);
        return module.WithEnvironment(setting, known is null ? builder.AddParameter(parameter, secret) : builder.CreateResourceBuilder(known));
    }
}
