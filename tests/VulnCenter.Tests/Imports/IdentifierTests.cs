using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class IdentifierTests
{
    [Theory]
    [InlineData("pkg:deb/debian/bash@5.0-4?arch=amd64&distro=debian-10", "pkg:deb/debian/bash")]
    [InlineData("pkg:npm/%40babel/core@7.0.0", "pkg:npm/%40babel/core")]
    [InlineData("pkg:npm/@babel/core@7.0.0", "pkg:npm/%40babel/core")]
    [InlineData("pkg:npm/@babel/core", "pkg:npm/%40babel/core")]
    [InlineData("PKG:PyPI/Django_Rest@1.0", "pkg:pypi/django-rest")]
    [InlineData("pkg:deb/debian/libstdc++6@12.2.0-14", "pkg:deb/debian/libstdc%2B%2B6")]
    [InlineData("pkg:deb/debian/libstdc%2B%2B6@12.2.0-14", "pkg:deb/debian/libstdc%2B%2B6")]
    [InlineData("pkg:golang/github.com/gorilla/websocket@v1.4.0#sub/path", "pkg:golang/github.com/gorilla/websocket")]
    [InlineData("pkg:maven/Org.Apache/Log4j@2?type=jar", "pkg:maven/Org.Apache/Log4j")]
    [InlineData("pkg://npm//lodash@4", "pkg:npm/lodash")]
    [InlineData("pkg:npm", null)]
    [InlineData("pkg:npm/", null)]
    [InlineData("pkg:npm/%", "pkg:npm/%25")]
    [InlineData("npm/lodash@4", null)]
    public void A_package_URL_has_one_spelling_without_version(string purl, string? expected) =>
        Assert.Equal(expected, Purl.WithoutVersion(purl));

    [Theory]
    [InlineData("debian", "libstdc++6", "pkg:deb/debian/libstdc%2B%2B6")]
    [InlineData("npm", "@babel/core", "pkg:npm/%40babel/core")]
    [InlineData("jar", "org.apache.logging.log4j:log4j-core", "pkg:maven/org.apache.logging.log4j/log4j-core")]
    [InlineData("gomod", "github.com/gorilla/websocket", "pkg:golang/github.com/gorilla/websocket")]
    [InlineData("pip", "Django_Rest", "pkg:pypi/django-rest")]
    [InlineData("unheard-of", "a", null)]
    public void A_Trivy_package_without_a_package_URL_gets_the_same_one(string type, string name, string? expected) =>
        Assert.Equal(expected, TrivyPackages.Purl(type, name));

    [Theory]
    [InlineData("cve-2021-44228", "cve", "CVE-2021-44228")]
    [InlineData("GHSA-jfh8-c2jp-5v3q", "ghsa", "GHSA-JFH8-C2JP-5V3Q")]
    [InlineData("DSA-5523-1", "dsa", "DSA-5523-1")]
    [InlineData("TEMP-0841856-B18BAF", "temp", "TEMP-0841856-B18BAF")]
    [InlineData("RHSA-2024:1234", "rhsa", "RHSA-2024:1234")]
    public void An_advisory_id_is_upper_case_with_its_kind(string text, string kind, string value) =>
        Assert.Equal(new AdvisoryId(kind, value), Identifiers.Advisory(text));

    [Theory]
    [InlineData("fixes CVE-2021-44228")]
    [InlineData("CVE-2021-44228-log4j-core")]
    [InlineData("CVE-21-44228")]
    [InlineData("AVD-DS-0002")]
    [InlineData("")]
    [InlineData(null)]
    public void What_is_not_an_advisory_id_as_a_whole_is_none(string? text) => Assert.Null(Identifiers.Advisory(text));

    [Theory]
    [InlineData("registry.example:5000/shop/api:2.4.1", "registry.example:5000/shop/api")]
    [InlineData("registry.example:5000/shop/api", "registry.example:5000/shop/api")]
    [InlineData("shop/api@sha256:abc", "shop/api")]
    [InlineData("shop/api:1@sha256:abc", "shop/api")]
    [InlineData("debian", "debian")]
    public void An_image_repository_has_neither_tag_nor_digest(string image, string repository) =>
        Assert.Equal(repository, Identifiers.ImageRepository(image));

    [Theory]
    [InlineData("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.0")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1")]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0")]
    [InlineData("(AV:N/AC:M/Au:N/C:N/I:P/A:N)", "2.0")]
    [InlineData("AV:N/AC:L/PR:N", null)]
    [InlineData("CVSS:9.0/AV:N", null)]
    public void The_version_of_a_vector_is_read_from_the_vector(string vector, string? version) =>
        Assert.Equal(version, Identifiers.Cvss(vector, null, null)?.Version);

    [Theory]
    [InlineData("/api/orders/100017/items", "/api/orders/{id}/items")]
    [InlineData("/u/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/u/{id}")]
    [InlineData("/blob/9f86d081884c7d659a2feaa0c55ad015/", "/blob/{id}/")]
    [InlineData("/v2/users/me", "/v2/users/me")]
    public void Ids_in_a_URL_path_do_not_make_it_another_place(string path, string template) =>
        Assert.Equal(template, PathTemplate.Of(path));
}
