namespace Wave16.AppHost;

internal static class DeploymentExtensions
{
    /// <summary>How a module is deployed on what it stands on, where that has a say in it.</summary>
    /// <param name="maxReplicas">The least number is the module's replicas; never zero, because timers must run.</param>
    public static IResourceBuilder<ProjectResource> DeployedOn(this IResourceBuilder<ProjectResource> module, Backing backing, int maxReplicas) =>
        backing.Deploy(module, maxReplicas);
}
