using System.Globalization;
using System.Text.Json;

namespace Wave16.Images.Tests;

/// <summary>What is in a module's image, and what it says of itself.</summary>
public sealed class ImageTests(Published published)
{
    [Fact]
    public async Task It_runs_the_module_as_a_user_that_is_not_root_and_names_by_number()
    {
        var image = await published.ImageAsync();

        Assert.Equal(["dotnet", "/app/Wave16.VulnCenter.dll"], image.Entrypoint);
        Assert.Equal("/app/", image.Config.GetProperty("WorkingDir").GetString());
        Assert.NotEqual(0, int.Parse(image.Config.GetProperty("User").GetString() ?? "", CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task It_listens_on_one_port_above_the_privileged_ones_and_its_environment_holds_no_more_than_it_needs()
    {
        var image = await published.ImageAsync();

        Assert.Equal(["8080/tcp"], image.Config.GetProperty("ExposedPorts").EnumerateObject().Select(port => port.Name));
        Assert.Equal(
            new Dictionary<string, string>(StringComparer.Ordinal) { ["PATH"] = "/usr/bin", ["ASPNETCORE_HTTP_PORTS"] = "8080", ["DOTNET_EnableDiagnostics"] = "0" },
            image.Environment);
    }

    [Fact]
    public async Task It_says_which_module_and_which_version_it_is_and_is_named_as_azd_wants_it()
    {
        var image = await published.ImageAsync();

        Assert.Equal($"docker.io/{Published.Repository}:{Published.Tag}", image.Tag);
        Assert.Equal("vuln-center", image.Labels["org.opencontainers.image.title"]);
        Assert.Equal(await PropertyAsync("Version"), image.Labels["org.opencontainers.image.version"]);
        Assert.DoesNotContain("org.opencontainers.image.created", image.Labels.Keys);
    }

    [Fact]
    public async Task Without_a_name_it_gets_the_modules_and_the_version_for_a_tag()
    {
        Assert.Equal("wave16/vuln-center", await PropertyAsync("ContainerRepository"));
        Assert.Equal(await PropertyAsync("Version"), await PropertyAsync("ContainerImageTag"));
    }

    [Fact]
    public async Task The_port_that_azd_opens_is_in_all_that_publishing_says()
    {
        var configuration = JsonElement.Parse(await published.SaidAsync());

        Assert.Equal("8080/tcp", Assert.Single(configuration.GetProperty("config").GetProperty("ExposedPorts").EnumerateObject()).Name);
    }

    [Fact]
    public async Task It_is_one_layer_on_the_base_image_with_the_programs_files_and_nothing_of_tests_settings_or_keys()
    {
        var image = await published.ImageAsync();
        var files = image.Files();

        Assert.Equal(2, image.Layers.Count);
        Assert.Equal(await published.BaseLayerAsync(), image.Layers[0]);
        Assert.Superset(
            new HashSet<string>(StringComparer.Ordinal) { "/app/Wave16.VulnCenter.dll", "/app/Wave16.VulnCenter.runtimeconfig.json", "/app/Wave16.Platform.dll", "/app/Npgsql.dll" },
            files.Select(file => file.Path).ToHashSet(StringComparer.Ordinal));
        Assert.DoesNotContain(files, file => IsForeign(file.Path));
        Assert.DoesNotContain(files, file => file.Mode.HasFlag(UnixFileMode.OtherWrite) || file.Mode.HasFlag(UnixFileMode.GroupWrite));
    }

    [Fact]
    public async Task Publishing_leaves_the_lock_files_as_they_are() => Assert.True(await published.LeftLockFilesAsync());

    [Theory]
    [InlineData("/app/appsettings.json")]
    [InlineData("/app/.wave16/keys/audit-signing.pem")]
    [InlineData("/app/Wave16.Standalone.dll")]
    [InlineData("/app/Wave16.Neighbours.dll")]
    [InlineData("/app/xunit.v3.core.dll")]
    [InlineData("/app/packages.lock.json")]
    [InlineData("/etc/passwd")]
    public void What_has_no_place_in_it_is_told_from_what_has(string path) => Assert.True(IsForeign(path));

    [Fact]
    public async Task Published_again_from_nothing_it_has_the_same_files()
    {
        var first = await published.ImageAsync();
        var second = await published.AgainAsync();

        Assert.Equal(first.Files().OrderBy(file => file.Path, StringComparer.Ordinal), second.Files().OrderBy(file => file.Path, StringComparer.Ordinal));
        Assert.Equal(first.Config.GetRawText(), second.Config.GetRawText().Replace(Authority(second), Authority(first), StringComparison.Ordinal));
    }

    private static async Task<string> PropertyAsync(string name) => (await Published.DotnetAsync(["msbuild", Published.Project, $"-getProperty:{name}"])).Trim();

    private static string Authority(ImageArchive image) => image.Labels["org.opencontainers.image.base.name"].Split('/')[0];

    private static bool IsForeign(string path) =>
        !path.StartsWith("/app/", StringComparison.Ordinal) || path.Contains("/.", StringComparison.Ordinal)
        || Path.GetFileName(path) is var name && (name.StartsWith("appsettings", StringComparison.Ordinal) || name.StartsWith("xunit", StringComparison.Ordinal)
            || name.StartsWith("Wave16.Standalone", StringComparison.Ordinal) || name.StartsWith("Wave16.Neighbours", StringComparison.Ordinal)
            || name.StartsWith("Wave16.LocalPostgres", StringComparison.Ordinal) || name.Contains("Test", StringComparison.Ordinal)
            || name is "packages.lock.json" or "web.config" or "OrleansContracts.txt" || Path.GetExtension(name) is ".pem" or ".key" or ".pfx" or ".xml");
}
