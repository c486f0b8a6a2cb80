namespace Wave16.Architecture.Tests;

/// <summary>A module's folder makes it a module everywhere. What has a list of its own, and was not told, is named here with what to do.</summary>
public sealed class ModuleListTests
{
    private static readonly string[] NotOurs = ["Wave16.AppHost/Gate/Probe.csproj"];

    [Fact]
    public void A_folder_that_a_list_lacks_is_found() => Assert.Equal(
        ["modules/b: add it to StandaloneHost.Modules"],
        Missing(["a", "b"], ["a", "c"], "add it to StandaloneHost.Modules"));

    [Fact]
    public void Standalone_hosts_every_module_there_is() =>
        Holds(Missing(Folders(), Repository.Modules.Select(module => module.Name), "add it to StandaloneHost.Modules; until then no conformance test sees it"));

    [Fact]
    public void The_readme_names_every_module_there_is()
    {
        var readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        Holds(Missing(Folders(), Folders().Where(folder => readme.Contains($"](modules/{folder}/README.md)", StringComparison.Ordinal)), "add a line to the README's table, with a link to the module's"));
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = File.ReadAllText(Path.Combine(Repository.Root, "Wave16.sln")).Replace('\\', '/');
        Holds(Repository.Files("*.csproj").Except(NotOurs).Where(path => !solution.Contains($"\"{path}\"", StringComparison.Ordinal))
            .Select(path => $"{path}: dotnet sln add {path}"));
    }

    private static List<string> Folders() =>
        [.. Repository.Files("*.csproj").Select(path => path.Split('/')).Where(path => path is ["modules", _, "src", _]).Select(path => path[1]).Order(StringComparer.Ordinal)];

    private static IEnumerable<string> Missing(IEnumerable<string> folders, IEnumerable<string> listed, string remedy) =>
        folders.Except(listed, StringComparer.Ordinal).Select(folder => $"modules/{folder}: {remedy}");

    private static void Holds(IEnumerable<string> faults) => Assert.True(!faults.Any(), string.Join('\n', faults));
}
