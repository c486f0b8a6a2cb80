using Microsoft.Extensions.DependencyInjection;
using Wave16.ServiceDefaults;
using Wave16.Standalone;

namespace Wave16.Conformance.Tests;

/// <summary>What lies beside a module's code.</summary>
public sealed class FolderTests(Hosts hosts)
{
    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    [Theory]
    [MemberData(nameof(Modules))]
    public void Every_event_type_has_its_schema_and_no_schema_is_left_over(string module)
    {
        var types = Repository.EventTypes(ModuleSample.Of(module).EventTypes);
        Assert.NotEmpty(types);
        Assert.Equal(
            types.Select(type => $"{type}.schema.json").Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(Repository.InModule(module, "docs", "events")).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.All(types, type => Assert.Matches($@"^wave16\.{module}\.[a-z]+(-[a-z]+)+\.v[1-9][0-9]*$", type));
    }

    [Fact]
    public async Task Roles_and_scopes_are_the_ones_in_roles_md()
    {
        var host = await hosts.InStandaloneAsync(StandaloneHost.Modules[0].Name);
        Repository.IsSnapshot(Path.Combine(Repository.Root, "docs", "roles.md"), host.Services.GetRequiredService<AccessCatalogue>().ToMarkdown());
    }
}
