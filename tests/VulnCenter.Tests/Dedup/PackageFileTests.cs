using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Tests.Imports;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>Packages of a language in an image: each file that holds one is a place.</summary>
public sealed class PackageFileTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Keys = "select string_agg(kind, ',' order by kind) from vuln_center.finding_key where tenant = $1";

    [Fact]
    public async Task Two_jars_of_one_image_are_two_findings_and_each_is_fixed_by_itself()
    {
        const string tenant = "jars";
        using var client = await host.OperatorAsync(tenant);
        var first = await client.ImportAsync("trivy", "shop-api", Trivy(("app/a.jar", "2.14.0"), ("app/b.jar", "2.13.0")), "&scope=complete");
        Assert.Equal(2L, first.New);
        var before = (await client.FindingsAsync()).Items.ToDictionary(finding => finding.Component?.Manifest ?? "", finding => finding.Id);

        var result = await client.ImportAsync("trivy", "shop-api", Trivy(("app/b.jar", "2.13.0")), "&scope=complete");

        Assert.Equal((0L, 1L, 0L, 1L), (result.New, result.Matched, result.FindingsChanged, result.FindingsFixed));
        var after = (await client.FindingsAsync()).Items.ToDictionary(finding => finding.Component?.Manifest ?? "");
        Assert.Equal((before["app/a.jar"], FindingStatus.Fixed), (after["app/a.jar"].Id, after["app/a.jar"].Status));
        Assert.Equal((before["app/b.jar"], FindingStatus.Open), (after["app/b.jar"].Id, after["app/b.jar"].Status));
    }

    [Fact]
    public async Task An_upgrade_and_another_build_leave_the_finding_the_same()
    {
        const string tenant = "jar-builds";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("trivy", "shop-api", Trivy(("app/shop-1.0.17.RELEASE.jar/lib/log4j-core-2.14.0.jar", "2.14.0")), "&scope=complete");

        var result = await client.ImportAsync("trivy", "shop-api", Trivy(("app/shop-1.1.0.RELEASE.jar/lib/log4j-core-2.14.1.jar", "2.14.1")), "&scope=complete");

        Assert.Equal((0L, 1L, 0L), (result.New, result.Matched, result.FindingsFixed));
    }

    [Fact]
    public async Task Findings_of_before_files_told_packages_apart_are_found_again_and_nothing_is_closed_or_opened()
    {
        const string tenant = "jar-upgrade";
        using var client = await host.OperatorAsync(tenant);
        var report = Trivy(("app/a.jar", "2.14.0"));
        await client.ImportAsync("trivy", "shop-api", report, "&scope=complete");
        await host.ScalarAsync<long>("with k as (delete from vuln_center.finding_key where tenant = $1 and kind = 'sca-file' returning 1) select count(*) from k", tenant);
        Assert.Equal("sca", await host.ScalarAsync<string>(Keys, tenant));
        var state = await host.ScalarAsync<long>("select sum(version)::bigint from vuln_center.finding where tenant = $1", tenant);

        var again = await client.ImportAsync("trivy", "shop-api", report, "&scope=complete");

        Assert.Equal((1L, 0L, 0L, 0L, 0L), (again.Matched, again.New, again.Reopened, again.FindingsChanged, again.FindingsFixed));
        Assert.Equal(state, await host.ScalarAsync<long>("select sum(version)::bigint from vuln_center.finding where tenant = $1", tenant));
        Assert.Equal("sca,sca-file", await host.ScalarAsync<string>(Keys, tenant));
    }

    [Fact]
    public async Task A_finding_of_before_that_was_two_jars_goes_on_as_one_of_them_and_the_other_is_new()
    {
        const string tenant = "jar-split";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("trivy", "shop-api", Trivy(("app/a.jar", "2.14.0")), "&scope=complete");
        await host.ScalarAsync<long>("with k as (delete from vuln_center.finding_key where tenant = $1 and kind = 'sca-file' returning 1) select count(*) from k", tenant);

        var both = await client.ImportAsync("trivy", "shop-api", Trivy(("app/a.jar", "2.14.0"), ("app/b.jar", "2.13.0")), "&scope=complete");

        Assert.Equal((1L, 1L, 0L), (both.New, both.Matched, both.FindingsFixed));
        var again = await client.ImportAsync("trivy", "shop-api", Trivy(("app/b.jar", "2.13.0"), ("app/a.jar", "2.14.0")), "&scope=complete");
        Assert.Equal((0L, 2L, 0L, 0L), (again.New, again.Matched, again.FindingsChanged, again.FindingsFixed));
    }

    [Fact]
    public async Task What_the_distribution_installed_is_of_the_image_as_a_whole()
    {
        var observations = await Reports.ObservationsAsync("grype", Reports.Bytes("grype-shop-api.json"));

        var keys = observations.Select(observation => (observation.Component?.Ecosystem, Wave16.VulnCenter.Dedup.DedupKeys.KeysOf(observation, Wave16.VulnCenter.Dedup.SourceRules.Default("grype"))[0].Kind)).Distinct().ToList();

        Assert.All(keys.Where(key => key.Ecosystem is "deb" or "apk" or "rpm"), key => Assert.Equal("sca", key.Kind));
    }

    [Theory]
    [InlineData("app/shop-1.2.3.RELEASE.jar", "app/shop-{version}.jar")]
    [InlineData("usr/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA", "usr/lib/python{version}/site-packages/requests-{version}.dist-info/METADATA")]
    [InlineData("app/shop-1.2.0-SNAPSHOT.war", "app/shop-{version}.war")]
    [InlineData("app/v2/a1.jar", "app/v2/a1.jar")]
    [InlineData("app/1.2-rc1/x", "app/{version}/x")]
    [InlineData("", "")]
    public void A_path_says_no_versions(string path, string template) => Assert.Equal(template, PathTemplate.WithoutVersions(path));

    private static byte[] Trivy(params (string Path, string Version)[] jars) => Encoding.UTF8.GetBytes($$"""
        {"SchemaVersion":2,"ArtifactName":"reg/shop:1","ArtifactType":"container_image","Results":[{"Target":"Java","Class":"lang-pkgs","Type":"jar","Vulnerabilities":[{{string.Join(',', jars.Select(jar =>
            $$"""{"VulnerabilityID":"CVE-2021-44228","PkgName":"org.apache.logging.log4j:log4j-core","PkgPath":"{{jar.Path}}","InstalledVersion":"{{jar.Version}}","Severity":"CRITICAL","Title":"log4shell","PkgIdentifier":{"PURL":"pkg:maven/org.apache.logging.log4j/log4j-core@{{jar.Version}}"} }"""))}}]}]}
        """);
}
