namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Advisory ids, CWE numbers, CVSS vectors and image names as scanners write them.</summary>
internal static class Identifiers
{
    static readonly string[] AdvisoryPrefixes =
    [
        "PYSEC", "RUSTSEC", "GO", "OSV", "MAL", "DSA", "DLA", "USN", "RHSA", "RHBA", "RHEA", "ELSA", "ALSA", "RLSA", "ALAS",
        "ALAS2", "ALPINE", "SUSE-SU", "OPENSUSE-SU", "SNYK", "BDSA", "TEMP", "NSWG", "GMS", "JVNDB", "CNVD", "EUVD", "BIT",
    ];

    /// <summary>Null when the text as a whole is no advisory id that is known by its form.</summary>
    public static AdvisoryId? Advisory(string? text)
    {
        if (text is null || text.Length is < 5 or > 64)
            return null;
        var id = text.Trim().ToUpperInvariant();
        if (!id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or ':' or '.' or '_'))
            return null;
        if (IsCve(id))
            return new AdvisoryId("cve", id);
        if (IsGhsa(id))
            return new AdvisoryId("ghsa", id);
        foreach (var prefix in AdvisoryPrefixes)
        {
            if (id.Length > prefix.Length + 1 && id.StartsWith(prefix, StringComparison.Ordinal) && id[prefix.Length] == '-')
                return new AdvisoryId(prefix.ToLowerInvariant(), id);
        }
        return null;
    }

    /// <summary>The ids among the candidates, each once, in the order given.</summary>
    public static IReadOnlyList<AdvisoryId> Advisories(params IEnumerable<string?> candidates) =>
        [.. candidates.Select(Advisory).OfType<AdvisoryId>().Distinct().Take(Bounded.ListLength)];

    /// <summary>Numbers out of <c>CWE-79</c>, <c>cwe-079</c>, <c>79</c>, <c>CWE-79: Cross-site Scripting</c>.</summary>
    public static IReadOnlyList<int> Cwes(IEnumerable<string?> candidates) =>
        [.. candidates.Select(Cwe).OfType<int>().Distinct().Order().Take(Bounded.ListLength)];

    public static ReportedCvss? Cvss(string? vector, decimal? score, string? origin)
    {
        if (vector is null || vector.Length > 300)
            return null;
        vector = vector.Trim().Trim('(', ')');
        string? version = vector switch
        {
            _ when vector.StartsWith("CVSS:4.0/", StringComparison.OrdinalIgnoreCase) => "4.0",
            _ when vector.StartsWith("CVSS:3.1/", StringComparison.OrdinalIgnoreCase) => "3.1",
            _ when vector.StartsWith("CVSS:3.0/", StringComparison.OrdinalIgnoreCase) => "3.0",
            _ when vector.StartsWith("AV:", StringComparison.Ordinal) && vector.Contains("/Au:", StringComparison.Ordinal) => "2.0",
            _ => null,
        };
        return version is null
            ? null
            : new ReportedCvss(version, vector, score is >= 0 and <= 10 ? score : null, Bounded.Word(origin) ?? "");
    }

    /// <summary><c>registry.example:5000/shop/api:1.2@sha256:…</c> without tag and digest.</summary>
    public static string? ImageRepository(string? image)
    {
        if (string.IsNullOrWhiteSpace(image))
            return null;
        var name = image.Trim();
        if (name.IndexOf('@', StringComparison.Ordinal) is var digest and > 0)
            name = name[..digest];
        var colon = name.LastIndexOf(':');
        if (colon > name.LastIndexOf('/') && colon > 0)
            name = name[..colon];
        return Bounded.Identity(name);
    }

    static bool IsCve(string id) => id.Length is >= 13 and <= 28 && id.StartsWith("CVE-", StringComparison.Ordinal)
        && id[8] == '-' && id.AsSpan(4, 4).IndexOfAnyExceptInRange('0', '9') < 0 && id.AsSpan(9).IndexOfAnyExceptInRange('0', '9') < 0;

    static bool IsGhsa(string id) => id.Length == 19 && id.StartsWith("GHSA-", StringComparison.Ordinal)
        && id[9] == '-' && id[14] == '-' && id.AsSpan(5).Count('-') == 2;

    static int? Cwe(string? text)
    {
        if (text is null)
            return null;
        var digits = text.AsSpan().Trim();
        if (digits.StartsWith("CWE", StringComparison.OrdinalIgnoreCase))
            digits = digits[3..].TrimStart("-_ :");
        var end = digits.IndexOfAnyExceptInRange('0', '9');
        if (end >= 0)
            digits = digits[..end];
        return int.TryParse(digits, out var number) && number is > 0 and < 10_000 ? number : null;
    }
}
