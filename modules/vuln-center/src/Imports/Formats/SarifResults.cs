using System.Globalization;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Where a SARIF result stands: its first location (§3.27.12), file, region and enclosing scope.</summary>
internal sealed record SarifPlace(string? Path, int? StartLine, int? EndLine, int? StartColumn, string? Snippet, string? Scope)
{
    public static SarifPlace Of(JsonElement result, SarifRun run) => At(result.Items("locations"u8).FirstOrDefault(), run);

    /// <summary>The locations after the first that name a file.</summary>
    public static IReadOnlyList<CodeLocation> OthersOf(JsonElement result, SarifRun run) =>
        [.. result.Items("locations"u8).Skip(1).Take(Bounded.ListLength).Select(location => At(location, run))
            .Where(place => place.Path is not null).Select(place => new CodeLocation(place.Path, place.StartLine, place.EndLine, place.StartColumn))];

    static SarifPlace At(JsonElement location, SarifRun run)
    {
        var physical = location.Field("physicalLocation"u8);
        var artifact = physical.Field("artifactLocation"u8);
        var region = physical.Field("region"u8);
        var scope = location.Items("logicalLocations"u8).FirstOrDefault();
        return new SarifPlace(
            Bounded.Path(FilePath(artifact.Text("uri"u8) ?? run.FileAt(artifact.Int("index"u8)))),
            region.Position("startLine"u8),
            region.Position("endLine"u8),
            region.Position("startColumn"u8),
            region.Field("snippet"u8).Text("text"u8) ?? physical.Field("contextRegion"u8).Field("snippet"u8).Text("text"u8),
            scope.Text("fullyQualifiedName"u8) ?? scope.Text("decoratedName"u8) ?? scope.Text("name"u8));
    }

    /// <summary>Tells results of one report apart; never part of a key.</summary>
    public string Position => string.Create(CultureInfo.InvariantCulture, $"{StartLine}:{StartColumn}-{EndLine}");

    /// <summary>Null without a file or scope.</summary>
    public CodeLocation? Locate(Sha256Digest? snippetHash) => Path is null && Scope is null
        ? null
        : new CodeLocation(Path, StartLine, EndLine, StartColumn)
        {
            SnippetHash = snippetHash,
            ScopeHash = Scope is null ? null : Sha256Digest.Of(Encoding.UTF8.GetBytes(Scope)),
        };

    /// <summary>Keyed when a context is given: for code that shows credentials.</summary>
    public Sha256Digest? HashSnippet(ReportContext? keyed)
    {
        if (string.IsNullOrWhiteSpace(Snippet))
            return null;
        // Indentation and line ends change when code is formatted; what it says does not.
        var lines = Snippet.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var code = Encoding.UTF8.GetBytes(string.Join('\n', lines));
        return keyed is null ? Sha256Digest.Of(code) : Sha256Digest.Keyed(keyed.SecretKey.Span, code);
    }

    /// <summary>A URI reference (RFC 3986) as a '/' separated path: no scheme, no percent escapes, no leading "./".</summary>
    static string? FilePath(string? uri)
    {
        if (uri is null)
            return null;
        var path = uri.StartsWith("file:", StringComparison.OrdinalIgnoreCase)
            ? '/' + uri[5..].TrimStart('/')
            : uri;
        path = Uri.UnescapeDataString(path).Replace('\\', '/');
        while (path.StartsWith("./", StringComparison.Ordinal))
            path = path[2..];
        return path;
    }
}

/// <summary>What a result says, with its rule's message strings and arguments put in (§3.11).</summary>
internal static class SarifMessage
{
    public static string? Of(JsonElement result, SarifRule? rule)
    {
        var message = result.Field("message"u8);
        if (message.Text("text"u8) is { } text)
            return text;
        if (message.Text("id"u8) is not { } id || rule?.Messages.GetValueOrDefault(id) is not { } template)
            return message.Text("markdown"u8);
        var arguments = message.Items("arguments"u8).Take(Bounded.ListLength).Select(argument => argument.Text() ?? "").ToList();
        for (var i = 0; i < arguments.Count && template.Length <= Bounded.DescriptionLength; i++)
            template = template.Replace(string.Create(CultureInfo.InvariantCulture, $"{{{i}}}"), Bounded.Word(arguments[i]), StringComparison.Ordinal);
        return template;
    }
}

/// <summary>Which kind of problem a SARIF result is; SARIF itself does not say.</summary>
internal static class SarifKinds
{
    static readonly string[] SecretScanners =
        ["gitleaks", "trufflehog", "detect-secrets", "ggshield", "gitguardian", "noseyparker", "nosey parker", "kingfisher", "whispers", "secretscanner", "talisman", "betterleaks"];

    static readonly string[] ConfigScanners =
        ["checkov", "kics", "tfsec", "terrascan", "hadolint", "kubesec", "kube-linter", "kube-score", "dockle", "polaris", "cfn-lint", "template-analyzer"];

    public static FindingKind Of(string tool, SarifRule? rule, string ruleId) =>
        SecretScanners.Contains(tool, StringComparer.OrdinalIgnoreCase) ? FindingKind.Secret
        : rule?.Kind is { } tagged ? tagged
        : ConfigScanners.Contains(tool, StringComparer.OrdinalIgnoreCase) ? FindingKind.Config
        : AdvisoryOf(tool, ruleId) is not null ? FindingKind.Sca
        : FindingKind.Sast;

    /// <summary>The rule id when it is an advisory. Grype appends the package: <c>CVE-2021-44228-log4j-core</c>.</summary>
    public static string? AdvisoryOf(string tool, string ruleId)
    {
        if (string.Equals(tool, "grype", StringComparison.OrdinalIgnoreCase))
        {
            var parts = ruleId.Split('-');
            var length = parts[0] == "GHSA" ? 4 : 3;
            ruleId = string.Join('-', parts.Take(length));
        }
        return Identifiers.Advisory(ruleId) is null ? null : ruleId;
    }

    /// <summary>Gitleaks before 8 put the secret into a property, later ones into the snippet.</summary>
    public static string? SecretOf(JsonElement result) => result.Field("properties"u8).Text("offender"u8);
}

/// <summary>A result's own fingerprints (§3.27.17-18), best first.</summary>
internal static class SarifFingerprints
{
    // Facts about a commit, a whole file or a column that tools put next to fingerprints.
    static readonly HashSet<string> NotIdentities = new(StringComparer.OrdinalIgnoreCase)
    {
        "commitSha", "commitMessage", "author", "email", "date", "primaryLocationStartColumnFingerprint", "scanFileHash", "scanTagsHash",
    };

    // Semgrep without a login writes this into every result.
    static readonly HashSet<string> NotValues = new(StringComparer.OrdinalIgnoreCase) { "requires login", "null", "none", "n/a", "undefined" };

    public static IReadOnlyList<ToolFingerprint> Of(JsonElement result, Func<string, string, int> occurrence)
    {
        var fingerprints = new List<ToolFingerprint>();
        Add(fingerprints, "correlationGuid", result.Field("correlationGuid"u8));
        // Of versions of one algorithm the newest counts first: "matchBasedId/v2" before "matchBasedId/v1".
        foreach (var fingerprint in result.Properties("fingerprints"u8).Take(Bounded.ListLength).OrderByDescending(property => VersionOf(property.Name)))
            Add(fingerprints, fingerprint.Name, fingerprint.Value);

        var partial = result.Properties("partialFingerprints"u8).Take(Bounded.ListLength).Where(property => !NotIdentities.Contains(property.Name)).ToList();
        foreach (var line in partial.Where(property => IsLineHash(property.Name)))
            Add(fingerprints, line.Name, line.Value);
        // Partial ones identify only together (§3.27.18).
        var others = partial.Where(property => !IsLineHash(property.Name) && ValueOf(property.Value) is not null).OrderBy(property => property.Name, StringComparer.Ordinal).ToList();
        if (others.Count > 0)
            fingerprints.Add(new ToolFingerprint(
                Bounded.Identity($"partial({string.Join(',', others.Select(property => property.Name))})") ?? "partial",
                Bounded.Identity(string.Join('|', others.Select(property => $"{ValueOf(property.Value)?.Length}:{ValueOf(property.Value)}"))) ?? ""));
        for (var i = 0; i < fingerprints.Count; i++)
            fingerprints[i] = fingerprints[i] with { Occurrence = occurrence(fingerprints[i].Algorithm, fingerprints[i].Value) };
        return fingerprints;
    }

    // GitHub's line hash is complete within rule and path; CodeQL numbers equal lines ("9cbc869f:2").
    static bool IsLineHash(string name) => name is "primaryLocationLineHash" or "scanPrimaryLocationHash" || name.StartsWith("primaryLocationLineHash/", StringComparison.Ordinal);

    static void Add(List<ToolFingerprint> fingerprints, string algorithm, JsonElement value)
    {
        if (ValueOf(value) is { } text && Bounded.Identity(algorithm, Bounded.WordLength) is { } name)
            fingerprints.Add(new ToolFingerprint(name, text));
    }

    // An object (BlackDuck) counts by its text.
    static string? ValueOf(JsonElement value)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.Number => value.GetRawText(),
            _ => null,
        };
        return text is null || NotValues.Contains(text) ? null : Bounded.Identity(text);
    }

    static int VersionOf(string name) =>
        name.LastIndexOf("/v", StringComparison.Ordinal) is var at and >= 0 && int.TryParse(name.AsSpan(at + 2), NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? version
            : 0;
}
