using System.Text.Json;
using Wave16.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>
/// <c>infra/aspire-manifest.json</c> is what the AppHost publishes with containers. Published for Azure, the servers and their
/// own parameters are others, but a module must find everything it reads under the same names.
/// </summary>
public sealed class CheckedInManifestTests(PublishedManifest published) : IClassFixture<PublishedManifest>
{
    private const string Update = "UPDATE_SNAPSHOTS";
    private static readonly string CheckedIn = Path.Combine(Checkout.Root, "infra", "aspire-manifest.json");

    [Fact]
    public async Task The_manifest_in_the_repository_is_the_one_published_with_containers()
    {
        if (Starts.AreForAzure)
            return; // The next test compares what must be equal.
        Assert.True(Text(await ReadCheckedIn()) == Text(published.Text), $"infra/aspire-manifest.json is not what the AppHost publishes; {Update}=1 writes it anew.");
    }

    [Fact]
    public async Task Every_module_is_deployed_with_the_same_variables_whatever_backs_it()
    {
        using var document = JsonDocument.Parse(await ReadCheckedIn());
        var expected = document.RootElement.GetProperty("resources");

        Assert.Equal(PublishedManifest.ProjectsOf(expected), published.Projects);
        Assert.All(published.Projects, name =>
        {
            var (project, now) = (expected.GetProperty(name), published.Resources.GetProperty(name));
            Assert.Equal(project.GetProperty("path").GetString(), now.GetProperty("path").GetString());
            Assert.Equal(Text(project.GetProperty("bindings")), Text(now.GetProperty("bindings")));
            Assert.Equal(WhatAModuleReads(project), WhatAModuleReads(now));
            Assert.All(WhatAModuleReads(now).Values.Where(value => value.EndsWith(".value}", StringComparison.Ordinal)), value =>
            {
                var parameter = value[1..^".value}".Length];
                Assert.Equal(Text(expected.GetProperty(parameter)), Text(published.Resources.GetProperty(parameter)));
            });
        });
    }

    [Fact]
    public async Task The_AppHost_publishes_the_same_when_azd_asks_for_it()
    {
        // github.com/Azure/azure-dev, cli/azd/pkg/tools/dotnet/dotnet.go, PublishAppHostManifest.
        var file = Path.Combine(Checkout.Root, "artifacts", $"manifest-{Guid.NewGuid():n}.json");
        try
        {
            var (exitCode, output, error) = await Dotnet.Run(AppContext.BaseDirectory, ["exec", "Wave16.AppHost.dll", "--publisher", "manifest", "--output-path", file]);

            Assert.True(exitCode == 0, output + error);
            Assert.Equal(published.Text, await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void The_manifest_names_no_folder_of_this_machine_and_no_secret_but_as_a_parameter()
    {
        Assert.DoesNotContain(Checkout.Root, published.Text, StringComparison.Ordinal);
        Assert.All(published.Projects.SelectMany(name => published.Resources.GetProperty(name).GetProperty("env").EnumerateObject()), variable =>
        {
            if (variable.Name.Contains("Key", StringComparison.Ordinal) && !variable.Name.EndsWith("__ServiceKey", StringComparison.Ordinal))
                Assert.Matches(@"^\{[a-z-]+\.value\}$", variable.Value.GetString() ?? "");
        });
    }

    /// <summary>
    /// All variables but what Aspire adds of its own for each connection string, in its own spelling (<c>REDIS_HOST</c> for
    /// <c>ConnectionStrings__redis</c>), which no module reads, and what only Azure has: <c>AZURE_CLIENT_ID</c>, and the collector.
    /// </summary>
    private static Dictionary<string, string> WhatAModuleReads(JsonElement project)
    {
        var all = project.GetProperty("env").EnumerateObject().ToDictionary(variable => variable.Name, variable => variable.Value.GetString() ?? "", StringComparer.Ordinal);
        var own = all.Keys.Where(name => name.StartsWith("ConnectionStrings__", StringComparison.Ordinal))
            .Select(name => name["ConnectionStrings__".Length..].Replace('-', '_').ToUpperInvariant() + "_").ToHashSet(StringComparer.Ordinal);
        return all.Where(variable => !variable.Key.StartsWith("AZURE_", StringComparison.Ordinal) && !variable.Key.StartsWith("OTEL_EXPORTER_OTLP_", StringComparison.Ordinal) && !own.Any(prefix => variable.Key.StartsWith(prefix, StringComparison.Ordinal)))
            .OrderBy(variable => variable.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);
    }

    // Whichever test reads it first is the one that writes it.
    private async Task<string> ReadCheckedIn()
    {
        if (!Starts.AreForAzure && Environment.GetEnvironmentVariable(Update) == "1")
            await File.WriteAllTextAsync(CheckedIn, published.Text + "\n", TestContext.Current.CancellationToken);
        Assert.True(File.Exists(CheckedIn), $"infra/aspire-manifest.json is missing; {Update}=1 writes it where the AppHost is built with containers.");
        return await File.ReadAllTextAsync(CheckedIn, TestContext.Current.CancellationToken);
    }

    private static string Text(string json)
    {
        using var document = JsonDocument.Parse(json);
        return Text(document.RootElement);
    }

    private static string Text(JsonElement json) => JsonSerializer.Serialize(json);
}
