using System.Xml.Linq;

namespace Wave16.Architecture.Tests;

/// <summary>Modules reference ServiceDefaults, Platform and contracts; contracts reference no product code at all.</summary>
public sealed class ReferenceTests
{
    [Fact]
    public void A_module_that_references_another_modules_code_is_found() => Assert.Equal(
        ["modules/a/src/A.csproj references ../../b/src/Wave16.B.csproj"],
        Faults("modules/a/src/A.csproj", """
            <Project><ItemGroup>
              <ProjectReference Include="../../../Wave16.Platform/Wave16.Platform.csproj" />
              <ProjectReference Include="../../b/contracts/Wave16.B.Contracts.csproj" />
              <ProjectReference Include="../../b/src/Wave16.B.csproj" />
            </ItemGroup></Project>
            """));

    [Fact]
    public void Contracts_that_reference_the_platform_are_found() => Assert.Equal(
        [@"modules/a/contracts/A.Contracts.csproj references ..\..\..\Wave16.Platform\Wave16.Platform.csproj"],
        Faults("modules/a/contracts/A.Contracts.csproj", """<Project><ItemGroup><ProjectReference Include="..\..\..\Wave16.Platform\Wave16.Platform.csproj" /></ItemGroup></Project>"""));

    [Fact]
    public void Modules_reference_only_what_they_may()
    {
        var projects = Repository.Files("*.csproj").Where(path => path.StartsWith("modules/", StringComparison.Ordinal)).ToList();
        Assert.True(projects.Count >= 2 * Repository.Modules.Count, "Each module has a project for its code and one for its contracts.");
        Assert.Empty(projects.SelectMany(path => Faults(path, File.ReadAllText(Path.Combine(Repository.Root, path)))));
    }

    [Fact]
    public void What_a_module_was_compiled_against_agrees_with_its_project() => Assert.Empty(
        from module in Repository.Modules
        let assembly = module.GetType().Assembly
        from reference in assembly.GetReferencedAssemblies()
        let name = reference.Name ?? ""
        where name.StartsWith("Wave16.", StringComparison.Ordinal) && name is not ("Wave16.ServiceDefaults" or "Wave16.Platform") && !name.EndsWith(".Contracts", StringComparison.Ordinal)
        select $"{assembly.GetName().Name} uses {name}");

    private static IEnumerable<string> Faults(string project, string text) =>
        from reference in XDocument.Parse(text).Descendants("ProjectReference")
        let target = reference.Attribute("Include")?.Value ?? ""
        where !IsAllowed(project, target.Replace('\\', '/'))
        select $"{project} references {target}";

    private static bool IsAllowed(string project, string target) =>
        !project.Contains("/contracts/", StringComparison.Ordinal)
        && (target is "../../../Wave16.ServiceDefaults/Wave16.ServiceDefaults.csproj" or "../../../Wave16.Platform/Wave16.Platform.csproj"
            || target.EndsWith(".Contracts.csproj", StringComparison.Ordinal));
}
