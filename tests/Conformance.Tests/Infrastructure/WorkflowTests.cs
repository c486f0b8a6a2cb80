using System.Text.Json;
using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Infrastructure;

/// <summary>The workflows and azure.yaml: what can be said of them without GitHub and without Azure.</summary>
public sealed partial class WorkflowTests
{
    public static TheoryData<string> Workflows => [.. Directory.EnumerateFiles(Folder, "*.yml").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private static string Folder => Path.Combine(Repository.Root, ".github", "workflows");

    [Theory]
    [MemberData(nameof(Workflows))]
    public void Actions_are_pinned_to_a_version_jobs_end_and_nothing_has_more_permissions_than_it_needs(string workflow) =>
        Assert.Empty(Faults(YamlFile.Read(Path.Combine(Folder, workflow)), mayAskForTokens: workflow == "deploy.yml"));

    [Theory]
    [MemberData(nameof(Workflows))]
    public void No_secret_is_written_in_it(string workflow) => Assert.DoesNotMatch(Secret(), File.ReadAllText(Path.Combine(Folder, workflow)));

    [Theory]
    [InlineData("password: hunter2")]
    [InlineData("client-secret: ${{ vars.X }}")]
    [InlineData("AZURE_CREDENTIALS: x")]
    [InlineData("key: MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg")]
    public void A_secret_is_found(string line) => Assert.Matches(Secret(), line);

    [Fact]
    public void What_is_not_pinned_has_no_end_or_may_write_is_found() => Assert.Equal(
        ["permissions: contents is write", "build: permissions: id-token is write", "build may run for hours", "build: who/knows is not pinned to a version", "build: who/else@main is not pinned to a version", "call: ./gone.yml is not there"],
        Faults(YamlFile.Parse("""
            permissions: { contents: write }
            jobs:
              build:
                permissions: { id-token: write }
                steps: [{ uses: who/knows }, { uses: who/else@main }, { uses: who/fine@v3 }]
              call: { uses: ./gone.yml }
            """), mayAskForTokens: false));

    [Fact]
    public void Every_module_there_is_has_an_image()
    {
        var jobs = YamlFile.Read(Path.Combine(Folder, "ci.yml")).GetProperty("jobs");

        Assert.Equal("${{ fromJSON(needs.modules.outputs.names) }}", jobs.GetProperty("image").GetProperty("strategy").GetProperty("matrix").GetProperty("module").GetString());
        Assert.Equal("modules", jobs.GetProperty("image").GetProperty("needs").GetString());
        Assert.Contains("ls -d modules/*/", jobs.GetProperty("modules").GetProperty("steps").EnumerateArray().Last().GetProperty("run").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Azd_finds_the_app_host()
    {
        // Required by github.com/Azure/azure-dev, schemas/v1.0/azure.yaml.json: a name of this form, a host for each service.
        var azure = YamlFile.Read(Path.Combine(Repository.Root, "azure.yaml"));
        Assert.Matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", azure.GetProperty("name").GetString());
        var service = Assert.Single(azure.GetProperty("services").EnumerateObject()).Value;
        Assert.Equal(("containerapp", "dotnet"), (service.GetProperty("host").GetString(), service.GetProperty("language").GetString()));
        Assert.True(File.Exists(Path.Combine(Repository.Root, service.GetProperty("project").GetString() ?? "")));
    }

    [Fact]
    public void What_azd_will_ask_for_is_explained_where_it_is_configured()
    {
        var manifest = JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(Path.Combine(Repository.Root, "infra", "aspire-manifest.json")));
        // A password in the manifest is generated, and Azure has none.
        var asked = manifest.GetProperty("resources").EnumerateObject()
            .Where(resource => resource.Value.GetProperty("type").GetString() == "parameter.v0" && !resource.Name.EndsWith("-password", StringComparison.Ordinal))
            .Select(resource => resource.Name).ToList();

        Assert.NotEmpty(asked);
        Assert.Equal(asked.Order(StringComparer.Ordinal), Parameters().Matches(File.ReadAllText(Path.Combine(Repository.Root, "azure.yaml")))
            .SelectMany(line => line.Groups["names"].Value.Split(',', StringSplitOptions.TrimEntries)).Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> Faults(JsonElement workflow, bool mayAskForTokens)
    {
        foreach (var fault in workflow.TryGetProperty("permissions", out var permissions) ? Excessive(permissions, mayAskForTokens: false) : ["no permissions are named"])
        {
            yield return fault;
        }

        foreach (var job in workflow.GetProperty("jobs").EnumerateObject())
        {
            if (job.Value.TryGetProperty("permissions", out var own))
            {
                foreach (var fault in Excessive(own, mayAskForTokens))
                {
                    yield return $"{job.Name}: {fault}";
                }
            }

            if (!job.Value.TryGetProperty("steps", out var steps))
            {
                if (job.Value.GetProperty("uses").GetString() is { } called && !File.Exists(Path.Combine(Repository.Root, called)))
                {
                    yield return $"{job.Name}: {called} is not there";
                }

                continue;
            }

            if (!job.Value.TryGetProperty("timeout-minutes", out _))
            {
                yield return $"{job.Name} may run for hours";
            }

            foreach (var step in steps.EnumerateArray())
            {
                if (step.TryGetProperty("uses", out var action) && !Pinned().IsMatch(action.GetString() ?? ""))
                {
                    yield return $"{job.Name}: {action} is not pinned to a version";
                }
            }
        }
    }

    private static IEnumerable<string> Excessive(JsonElement permissions, bool mayAskForTokens) => permissions.EnumerateObject()
        .Where(permission => permission.Value.GetString() != "read" && !(mayAskForTokens && permission is { Name: "id-token" }))
        .Select(permission => $"permissions: {permission.Name} is {permission.Value}");

    // Two spaces behind the # begin a line of names.
    [GeneratedRegex(@"^#   (?<names>[a-z][a-z0-9-]*(, [a-z][a-z0-9-]*)*)(?= {2,}|$)", RegexOptions.ExplicitCapture | RegexOptions.Multiline)]
    private static partial Regex Parameters();

    [GeneratedRegex(@"^[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})$", RegexOptions.ExplicitCapture)]
    private static partial Regex Pinned();

    [GeneratedRegex(@"(password|client-secret|AZURE_CREDENTIALS)\s*:|(?<![\w/])[A-Za-z0-9+/]{40,}={0,2}(?![\w/])|-----BEGIN", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture)]
    private static partial Regex Secret();
}
