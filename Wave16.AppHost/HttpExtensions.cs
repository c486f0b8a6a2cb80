namespace Wave16.AppHost;

internal static class HttpExtensions
{
    /// <summary>One HTTP endpoint, the AppHost's own environment when run here, and both probes.</summary>
    public static IResourceBuilder<ProjectResource> WithHttp(this IResourceBuilder<ProjectResource> project)
    {
        if (!project.ApplicationBuilder.ExecutionContext.IsPublishMode)
            project.WithEnvironment("ASPNETCORE_ENVIRONMENT", project.ApplicationBuilder.Environment.EnvironmentName);
        return project
            .WithHttpEndpoint()
            .WithHttpProbe(ProbeType.Readiness, "/health")
            .WithHttpProbe(ProbeType.Liveness, "/alive");
    }
}
