using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>The variables a project would get, evaluated from the model: what is only known once it runs stays an expression.</summary>
internal static class ModelEnvironment
{
    public static async Task<Dictionary<string, string>> Of(string project, DistributedApplicationOperation operation)
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        string[] arguments = operation == DistributedApplicationOperation.Publish ? PublishedManifest.Arguments("unused") : [];
        await using var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(
            [.. arguments, "ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL=http://localhost:4317"], cancellationToken);
        Assert.Equal(operation, builder.ExecutionContext.Operation);

        var resource = builder.Resources.OfType<ProjectResource>().Single(resource => resource.Name == project);
        var context = new EnvironmentCallbackContext(builder.ExecutionContext, resource, cancellationToken: cancellationToken);
        foreach (var annotation in resource.Annotations.OfType<EnvironmentCallbackAnnotation>())
            await annotation.Callback(context);
        return context.EnvironmentVariables.ToDictionary(
            variable => variable.Key,
            variable => variable.Value is IManifestExpressionProvider expression ? expression.ValueExpression : $"{variable.Value}",
            StringComparer.Ordinal);
    }
}
