using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Dedup;

/// <summary>
/// One way to recognise a finding. Keys are tried in the order of their ordinals; the first that matches decides. The
/// canonical fields say what was compared. A weak key holds nothing of the problem itself beyond rule and place.
/// </summary>
internal sealed record DedupKey(string Kind, int Ordinal, Sha256Digest Hash, IReadOnlyList<KeyField> Fields, bool IsWeak)
{
    /// <summary>The key without its path: what a file takes along when it moves. Null when nothing beyond rule and place is left.</summary>
    public Sha256Digest? Content { get; init; }

    /// <summary>The key without the number that tells equal ones in a file apart; null when it has none.</summary>
    public Sha256Digest? Family { get; init; }

    public int Number { get; init; }
}

/// <summary>A canonical field; null when the rule allows it to be missing and it is.</summary>
internal sealed record KeyField(string Name, string? Value);

/// <summary>
/// The keys of an observation within its (tenant, service, source). Pure: severity, title, description and line numbers
/// are not among the fields a rule can name.
/// </summary>
internal static class DedupKeys
{
    /// <summary>Part of every hash. Raise it when the encoding or the meaning of a field changes: all keys change with it.</summary>
    public const int SchemaVersion = 1;

    const string Occurrence = "occurrence";

    public static IReadOnlyList<DedupKey> KeysOf(RawObservation observation, SourceRules rules) => KeysOf(Identities.Of(observation), rules);

    /// <summary>At least one key, best first.</summary>
    public static IReadOnlyList<DedupKey> KeysOf(ObservationIdentity observation, SourceRules rules)
    {
        var keys = new List<DedupKey>(3);
        foreach (var rule in rules.Keys)
        {
            if (!rule.Kinds.Contains(observation.Kind) || (rule.IsFallback && keys.Count > 0))
                continue;
            if (!rule.Fields.Contains(KeyFields.Fingerprint))
                Add(rule, fingerprint: null);
            else
                foreach (var fingerprint in observation.Fingerprints ?? [])
                    Add(rule, fingerprint);
        }
        return keys;

        void Add(KeyRule rule, ObservedFingerprint? fingerprint)
        {
            if (KeyFields.Of(observation, rule.Fields, fingerprint) is not { } fields)
                return;
            var hash = Hash(rule.Name, fields);
            if (!keys.Exists(key => key.Hash == hash))
                keys.Add(Numbered(new DedupKey(rule.Name, keys.Count, hash, fields, rule.IsFallback) { Content = Drift.ContentOf(rule.Name, fields, observation) }));
        }
    }

    static DedupKey Numbered(DedupKey key) => key.Fields.FirstOrDefault(field => field.Name == Occurrence)?.Value is not { } number
        ? key
        : key with
        {
            Family = Hash($"family:{key.Kind}", [.. key.Fields.Where(field => field.Name != Occurrence)]),
            Number = int.Parse(number, CultureInfo.InvariantCulture),
        };

    /// <summary>SHA-256 over schema version, key name and fields, every string preceded by its length in bytes (-1: missing).</summary>
    internal static Sha256Digest Hash(string name, IReadOnlyList<KeyField> fields)
    {
        var canonical = new ArrayBufferWriter<byte>(512);
        WriteNumber(canonical, SchemaVersion);
        WriteText(canonical, name);
        WriteNumber(canonical, fields.Count);
        foreach (var field in fields)
        {
            WriteText(canonical, field.Name);
            WriteText(canonical, field.Value);
        }
        return Sha256Digest.Of(canonical.WrittenSpan);
    }

    static void WriteNumber(ArrayBufferWriter<byte> writer, int number)
    {
        BinaryPrimitives.WriteInt32BigEndian(writer.GetSpan(sizeof(int)), number);
        writer.Advance(sizeof(int));
    }

    static void WriteText(ArrayBufferWriter<byte> writer, string? text)
    {
        WriteNumber(writer, text is null ? -1 : Encoding.UTF8.GetByteCount(text));
        if (text is not null)
            Encoding.UTF8.GetBytes(text, writer);
    }
}

/// <summary>The fields a rule can name. A name ending in '?' may be missing; any other that is missing means: no key.</summary>
internal static class KeyFields
{
    public const string Fingerprint = "fingerprint";

    public static IReadOnlySet<string> Names { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "rule", "component", "place", "package-file", "path", "code", "occurrence", "secret", "resource", "method", "host", "path-template", "parameter", Fingerprint,
    };

    /// <summary>Null when a field that must be there is not.</summary>
    public static IReadOnlyList<KeyField>? Of(ObservationIdentity observation, IReadOnlyList<string> names, ObservedFingerprint? fingerprint)
    {
        var fields = new List<KeyField>(names.Count + 1);
        foreach (var name in names)
        {
            var isOptional = name.EndsWith('?');
            var count = fields.Count;
            Add(fields, observation, isOptional ? name[..^1] : name, fingerprint);
            if (!isOptional && fields.TrueForAll(count, field => field.Value is null))
                return null;
        }
        return fields;
    }

    // lib/log4j-core-2.14.1.jar: an upgrade that is still vulnerable is the same finding.
    static string? ManifestOf(ObservationIdentity o) => o.ComponentVersion is { Length: >= 3 } version
        ? o.Manifest?.Replace(version, "{version}", StringComparison.Ordinal)
        : o.Manifest;

    // Null but for packages that an image holds in a file of their own. Versions in the path are those of a build: app-1.2.3.jar.
    static string? PackageFileOf(ObservationIdentity o) => o.Image is null || o.Ecosystem is "deb" or "rpm" or "apk" or "alpm" or "ebuild" || ManifestOf(o) is not { } file
        ? null
        : Imports.Formats.PathTemplate.WithoutVersions(file);

    static bool TrueForAll(this List<KeyField> fields, int start, Predicate<KeyField> condition) =>
        fields.FindIndex(start, field => !condition(field)) < 0;

    static void Add(List<KeyField> fields, ObservationIdentity o, string name, ObservedFingerprint? fingerprint)
    {
        switch (name)
        {
            case "rule":
                fields.Add(new(name, o.Rule));
                break;
            case "component":
                fields.Add(new(name, o.Component is null ? null : o.Purl ?? $"{o.Ecosystem}:{o.Component}"));
                break;
            case "place":
                fields.Add(o.Image is null ? new("manifest", ManifestOf(o)) : new("image", o.Image));
                break;
            case "package-file":
                var file = PackageFileOf(o);
                fields.Add(new("image", file is null ? null : o.Image));
                fields.Add(new("file", file));
                break;
            case "path":
                fields.Add(new(name, o.Path));
                break;
            case "code":
                fields.Add(o.Snippet is { } snippet ? new("snippet", snippet) : new("scope", o.Scope));
                break;
            case "occurrence":
                fields.Add(new(name, o.Occurrence.ToString(CultureInfo.InvariantCulture)));
                break;
            case "secret":
                fields.Add(new(name, o.Secret));
                if (o.Masked)
                    fields.Add(new("occurrence", o.Occurrence.ToString(CultureInfo.InvariantCulture)));
                break;
            case "resource":
                fields.Add(new(name, o.Resource));
                break;
            case "method":
                fields.Add(new(name, o.Method));
                break;
            case "host":
                fields.Add(new(name, o.Host));
                break;
            case "path-template":
                fields.Add(new(name, o.PathTemplate));
                break;
            case "parameter":
                fields.Add(new(name, o.Parameter));
                break;
            case Fingerprint:
                fields.Add(new("algorithm", fingerprint?.Algorithm));
                fields.Add(new(name, fingerprint?.Value));
                if (fingerprint is not null)
                    fields.Add(new("occurrence", fingerprint.Occurrence.ToString(CultureInfo.InvariantCulture)));
                break;
            default:
                throw new ArgumentException($"No such key field: {name}.", nameof(name));
        }
    }
}
