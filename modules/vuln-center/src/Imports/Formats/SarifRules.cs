using System.Globalization;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>What a result takes from its rule (SARIF 2.1.0 §3.49 reportingDescriptor).</summary>
internal sealed record SarifRule(string Id)
{
    public string? Title { get; init; }
    public string? Description { get; init; }
    public string? HelpUri { get; init; }
    public string? Level { get; init; }

    /// <summary>The property <c>security-severity</c>, 0.0 to 10.0, as GitHub defines it.</summary>
    public decimal? SecuritySeverity { get; init; }

    public IReadOnlyList<int> Cwes { get; init; } = [];
    public FindingKind? Kind { get; init; }
    public IReadOnlyDictionary<string, string> Messages { get; init; } = new Dictionary<string, string>();

    public bool ShowsCredentials => Secrets.AreShownBy(Cwes);

    public static SarifRule? Read(JsonElement raw)
    {
        if (Bounded.Identity(raw.Text("id"u8)) is not { } id)
            return null;
        var properties = raw.Field("properties"u8);
        var tags = properties.Texts("tags"u8);
        return new SarifRule(id)
        {
            Title = (raw.Field("shortDescription"u8).Text("text"u8) ?? raw.Text("name"u8)) is { } title ? Bounded.Title(title) : null,
            Description = Bounded.Description(raw.Field("fullDescription"u8).Text("text"u8)),
            HelpUri = raw.Text("helpUri"u8) is { Length: <= Bounded.PathLength } uri ? uri : null,
            Level = Bounded.Word(raw.Field("defaultConfiguration"u8).Text("level"u8)),
            SecuritySeverity = SeverityNumber(properties),
            Cwes = Identifiers.Cwes(tags.Select(CweTag)
                .Concat(CweProperty(properties))
                .Concat(raw.Items("relationships"u8).Select(relationship => CweReference(relationship.Field("target"u8))))),
            Kind = KindOf(tags),
            Messages = Texts(raw.Field("messageStrings"u8)),
        };
    }

    /// <summary>A number, or as most tools write it a string that holds one.</summary>
    public static decimal? SeverityNumber(JsonElement properties) =>
        properties.Decimal("security-severity"u8)
        ?? (decimal.TryParse(properties.Text("security-severity"u8), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) ? number : null);

    /// <summary>A property <c>cwe</c> or <c>CWE</c>, a string or an array of strings: njsscan, mobsfscan, taint analysers.</summary>
    public static IEnumerable<string?> CweProperty(JsonElement properties) =>
        properties.Texts("cwe"u8).Concat(properties.Texts("cwes"u8)).Append(properties.Text("cwe"u8)).Append(properties.Text("CWE"u8));

    /// <summary>A reference into a taxonomy (§3.52), when the taxonomy is CWE.</summary>
    public static string? CweReference(JsonElement reference) =>
        string.Equals(reference.Field("toolComponent"u8).Text("name"u8), "CWE", StringComparison.OrdinalIgnoreCase) ? reference.Text("id"u8) : null;

    // "external/cwe/cwe-079" (CodeQL), "CWE-79: Cross-site Scripting" (Semgrep).
    static string? CweTag(string tag)
    {
        var name = tag[(tag.LastIndexOf('/') + 1)..];
        return name.StartsWith("CWE-", StringComparison.OrdinalIgnoreCase) ? name : null;
    }

    // Trivy's and most secret scanners' rules say in their tags what they look for.
    static FindingKind? KindOf(IReadOnlyList<string> tags)
    {
        foreach (var tag in tags)
        {
            switch (tag.ToLowerInvariant())
            {
                case "secret" or "secrets":
                    return FindingKind.Secret;
                case "vulnerability":
                    return FindingKind.Sca;
                case "misconfiguration":
                    return FindingKind.Config;
                case "license":
                    return FindingKind.License;
            }
        }
        return null;
    }

    static Dictionary<string, string> Texts(JsonElement strings)
    {
        var texts = new Dictionary<string, string>();
        if (strings.ValueKind != JsonValueKind.Object)
            return texts;
        foreach (var message in strings.EnumerateObject().Take(Bounded.ListLength))
        {
            if (message.Value.Text("text"u8) is { Length: <= 2_000 } text)
                texts[message.Name] = text;
        }
        return texts;
    }
}

/// <summary>The rules and files of one run, which results name by index or id.</summary>
internal sealed class SarifRun(string pointer, JsonMap map)
{
    public const int MaxRetained = 64 << 20;

    readonly Dictionary<string, SarifRule> _byId = [];
    readonly Dictionary<int, List<SarifRule?>> _byExtension = [];
    readonly List<SarifRule?> _ofDriver = [];
    readonly List<string?> _files = [];
    long _retained;

    public string Pointer { get; } = pointer;

    /// <summary>More than <see cref="MaxRetained"/> characters of rules and file names.</summary>
    public bool IsTooLarge => _retained > MaxRetained;

    /// <summary>§3.19.8 requires a name; who leaves it out is read all the same.</summary>
    public string Tool { get; } = Bounded.Word(map.Scalar($"{pointer}/tool/driver/name")) ?? "unnamed";

    public void AddRule(JsonItem item, int? extension)
    {
        using var document = item.Parse();
        var rule = SarifRule.Read(document.RootElement);
        Retain((rule?.Description?.Length ?? 0) + (rule?.Messages.Values.Sum(text => text.Length) ?? 0) + 300);
        if (extension is not { } index)
            _ofDriver.Add(rule);
        else if (_byExtension.TryGetValue(index, out var rules))
            rules.Add(rule);
        else
            _byExtension[index] = [rule];
        if (rule is not null)
            _byId.TryAdd(rule.Id, rule);
    }

    public void AddFile(JsonItem item)
    {
        using var document = item.Parse();
        var uri = document.RootElement.Field("location"u8).Text("uri"u8);
        Retain((uri?.Length ?? 0) + 30);
        _files.Add(uri);
    }

    public string? FileAt(int? index) => index >= 0 && index < _files.Count ? _files[index.Value] : null;

    /// <summary>§3.27.5-7: by reference, by index, by id, by the id's parent (<c>CA1000/1</c> is a part of <c>CA1000</c>).</summary>
    public SarifRule? RuleOf(JsonElement result)
    {
        var reference = result.Field("rule"u8);
        var id = result.Text("ruleId"u8) ?? reference.Text("id"u8);
        var rules = reference.Field("toolComponent"u8).Int("index"u8) is { } extension
            ? _byExtension.GetValueOrDefault(extension)
            : _ofDriver;
        var index = reference.Int("index"u8) ?? result.Int("ruleIndex"u8);
        if (rules is not null && index >= 0 && index < rules.Count && rules[index.Value] is { } rule
            && (id is null || id == rule.Id || id.StartsWith(rule.Id + "/", StringComparison.Ordinal)))
            return rule;
        if (id is null)
            return null;
        return _byId.GetValueOrDefault(id)
            ?? (id.LastIndexOf('/') is var slash and > 0 ? _byId.GetValueOrDefault(id[..slash]) : null);
    }

    void Retain(int characters) => _retained += characters;
}
