using System.Text.Json;
using Aspire.Hosting.Testing;
using Wave16.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>What the AppHost publishes now. Nothing is started.</summary>
public sealed class PublishedManifest : IAsyncLifetime
{
    // A folder one below the root, as infra/ is: paths in a manifest are relative to its own folder.
    private readonly string _folder = Path.Combine(Checkout.Root, "artifacts");
    private readonly string _file;

    public PublishedManifest() => _file = Path.Combine(_folder, $"manifest-{Guid.NewGuid():n}.json");

    public string Text { get; private set; } = "";

    public JsonElement Resources { get; private set; }

    public IEnumerable<string> Projects => ProjectsOf(Resources);

    /// <summary>Ends in the file it is asked to write, as Aspire's own command line asks for it.</summary>
    public static string[] Arguments(string file) => ["--operation", "publish", "--step", "publish-manifest", "--output-path", file];

    public static IEnumerable<string> ProjectsOf(JsonElement resources) => resources.EnumerateObject()
        .Where(resource => resource.Value.GetProperty("type").GetString() is { } type && type.StartsWith("project.", StringComparison.Ordinal))
        .Select(resource => resource.Name);

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(_folder);
        try
        {
            await using (var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(Arguments(_file), CancellationToken.None))
            await using (var app = await builder.BuildAsync(CancellationToken.None))
            {
                await app.RunAsync(CancellationToken.None);
            }

            Text = await File.ReadAllTextAsync(_file, CancellationToken.None);
        }
        finally
        {
            File.Delete(_file);
        }

        using var document = JsonDocument.Parse(Text);
        Resources = document.RootElement.GetProperty("resources").Clone();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
