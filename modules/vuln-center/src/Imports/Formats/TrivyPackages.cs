namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Trivy's target types as package URL types, for reports written before Trivy gave package URLs itself (0.46).</summary>
internal static class TrivyPackages
{
    public static bool IsOperatingSystem(string? type) => OperatingSystemPurlType(type) is not null;

    public static string? Purl(string? type, string name)
    {
        if (OperatingSystemPurlType(type) is { } os)
            return Formats.Purl.Of(os, type, name);
        var ecosystem = type switch
        {
            "npm" or "yarn" or "pnpm" or "bun" or "node-pkg" => "npm",
            "pip" or "pipenv" or "poetry" or "uv" or "pylock" or "python-pkg" => "pypi",
            "bundler" or "gemspec" => "gem",
            "composer" or "composer-vendor" => "composer",
            "cargo" or "rustbinary" => "cargo",
            "gomod" or "gobinary" => "golang",
            "jar" or "pom" or "gradle" or "sbt" => "maven",
            "nuget" or "dotnet-core" or "packages-props" => "nuget",
            "conan" => "conan",
            "conda-pkg" or "conda-environment" => "conda",
            "cocoapods" => "cocoapods",
            "swift" => "swift",
            "pub" => "pub",
            "hex" => "hex",
            _ => null,
        };
        return Formats.Purl.OfName(ecosystem, name);
    }

    static string? OperatingSystemPurlType(string? type) => type switch
    {
        "debian" or "ubuntu" or "echo" => "deb",
        "alpine" or "wolfi" or "chainguard" or "minimos" => "apk",
        "redhat" or "centos" or "rocky" or "alma" or "amazon" or "oracle" or "fedora" or "photon" or "cbl-mariner" or "azurelinux"
            or "opensuse" or "opensuse.leap" or "opensuse.tumbleweed" or "opensuse-leap" or "opensuse-tumbleweed"
            or "suse linux enterprise server" or "suse linux enterprise micro" or "slem" or "sles" or "bottlerocket" => "rpm",
        _ => null,
    };
}
