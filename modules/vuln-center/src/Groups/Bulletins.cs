using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Groups;

/// <summary>Advisories of vendors that name the CVEs an update fixes: that two findings name the same one says nothing about their problem.</summary>
internal static class Bulletins
{
    private static readonly HashSet<string> Kinds = new(StringComparer.Ordinal)
    {
        "dsa", "dla", "usn", "rhsa", "rhba", "rhea", "elsa", "alsa", "rlsa", "alas", "alas2", "suse-su", "opensuse-su",
    };

    public static bool Contains(string id) => Identifiers.Advisory(id) is { } advisory && Kinds.Contains(advisory.Kind);
}
