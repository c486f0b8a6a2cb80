using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>What an observation can be told from another by.</summary>
internal sealed record Trait(ObservationIdentity Identity, Sha256Digest Payload);

/// <summary>
/// The keys of one (tenant, service, source) that held together what somebody told apart, with the attributes that were added
/// to them. A result's keys are its rules' keys, refined; so the same report finds the same findings, in any order.
/// </summary>
internal sealed class Refinements
{
    /// <summary>Before the names of added fields: a key may have one of the same name that says less (a manifest without its version).</summary>
    public const string FieldPrefix = "split/";

    private const string Payload = "payload";

    // A key that was refined is seldom refined again; a chain longer than this is a fault.
    private const int MaxDepth = 32;

    /// <summary>What is looked at to tell two sides apart, what says most and changes least first. The payload comes last: it changes with every word of the report.</summary>
    public static IReadOnlyList<string> Attributes { get; } =
    [
        "rule", "component", "componentVersion", "manifest", "image", "path", "resource", "method", "host", "pathTemplate", "url", "parameter", "scope", "snippet",
        "secret", "line", "occurrence", Payload,
    ];

    private readonly Dictionary<Sha256Digest, IReadOnlyList<string>> _attributes = [];

    public bool IsEmpty => _attributes.Count == 0;

    public IReadOnlyCollection<Sha256Digest> Keys => _attributes.Keys;

    public static async Task<Refinements> LoadAsync(NpgsqlConnection connection, string tenant, string service, string source, CancellationToken cancellation)
    {
        var refinements = new Refinements();
        foreach (var (key, attributes) in await connection.ListAsync(
            "select key, attributes from vuln_center.dedup_refinement where tenant = $1 and service = $2 and source = $3",
            row => (new Sha256Digest(row.GetFieldValue<byte[]>(0)), row.GetFieldValue<string[]>(1)), cancellation, tenant, service, source))
        {
            refinements._attributes[key] = attributes;
        }

        return refinements;
    }

    public Refinements Copy()
    {
        var copy = new Refinements();
        foreach (var (key, attributes) in _attributes)
        {
            copy._attributes[key] = attributes;
        }

        return copy;
    }

    public bool Add(Sha256Digest key, IReadOnlyList<string> attributes) => _attributes.TryAdd(key, attributes);

    public IReadOnlyList<DedupKey> KeysOf(Trait trait, SourceRules rules) => Refine(DedupKeys.KeysOf(trait.Identity, rules), trait);

    /// <summary>The same number of keys in the same order.</summary>
    public IReadOnlyList<DedupKey> Refine(IReadOnlyList<DedupKey> keys, Trait trait) =>
        IsEmpty || !keys.Any(key => _attributes.ContainsKey(key.Hash)) ? keys : [.. keys.Select(key => Refine(key, trait))];

    private DedupKey Refine(DedupKey key, Trait trait)
    {
        for (var depth = 0; _attributes.TryGetValue(key.Hash, out var attributes); depth++)
        {
            if (depth == MaxDepth)
            {
                throw new InvalidOperationException($"Key {key.Hash} is refined more than {MaxDepth} times.");
            }

            KeyField[] added = [.. attributes.Select(name => new KeyField(FieldPrefix + name, ValueOf(trait, name)))];
            key = key with { Hash = Hash(key.Hash, added), Fields = [.. key.Fields.Where(field => !added.Any(other => other.Name == field.Name)), .. added] };
        }

        return key;
    }

    /// <summary>
    /// The attributes that no observation of one side shares with one of the other: the first that does it alone; else all
    /// that differ at all, without and then with the line; else the bytes. Null when the two sides hold the same bytes.
    /// </summary>
    public static IReadOnlyList<string>? Between(IReadOnlyList<Trait> one, IReadOnlyList<Trait> other)
    {
        if (Attributes.FirstOrDefault(name => name != Payload && Separates([name])) is { } single)
        {
            return [single];
        }

        List<string> varying = [.. Attributes.Where(name => name != Payload && one.Concat(other).Select(trait => ValueOf(trait, name)).Distinct(StringComparer.Ordinal).Skip(1).Any())];
        List<string> stable = [.. varying.Where(name => name is not ("line" or "occurrence"))];
        return ((IReadOnlyList<string>[])[stable, varying, [Payload]]).FirstOrDefault(names => names.Count > 0 && Separates(names));

        bool Separates(IReadOnlyList<string> names)
        {
            var seen = one.Select(trait => Hash(default, Values(trait))).ToHashSet();
            return !other.Any(trait => seen.Contains(Hash(default, Values(trait))));

            KeyField[] Values(Trait trait) => [.. names.Select(name => new KeyField(name, ValueOf(trait, name)))];
        }
    }

    /// <summary>SHA-256 over the key and the added fields, every string preceded by its length in bytes (-1: missing).</summary>
    private static Sha256Digest Hash(Sha256Digest key, IReadOnlyList<KeyField> added)
    {
        var canonical = new MemoryStream(256);
        canonical.Write(key.ToBytes());
        foreach (var field in added)
        {
            Write(field.Name);
            Write(field.Value);
        }

        return Sha256Digest.Of(canonical.GetBuffer().AsSpan(0, (int)canonical.Length));

        void Write(string? text)
        {
            var bytes = text is null ? [] : Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[sizeof(int)];
            BinaryPrimitives.WriteInt32BigEndian(length, text is null ? -1 : bytes.Length);
            canonical.Write(length);
            canonical.Write(bytes);
        }
    }

    private static string? ValueOf(Trait trait, string attribute) => attribute switch
    {
        "rule" => trait.Identity.Rule,
        "component" => trait.Identity.Purl ?? (trait.Identity.Component is { } name ? $"{trait.Identity.Ecosystem}:{name}" : null),
        "componentVersion" => trait.Identity.ComponentVersion,
        "manifest" => trait.Identity.Manifest,
        "image" => trait.Identity.Image,
        "path" => trait.Identity.Path,
        "resource" => trait.Identity.Resource,
        "method" => trait.Identity.Method,
        "host" => trait.Identity.Host,
        "pathTemplate" => trait.Identity.PathTemplate,
        "url" => trait.Identity.Url,
        "parameter" => trait.Identity.Parameter,
        "scope" => trait.Identity.Scope,
        "snippet" => trait.Identity.Snippet,
        "secret" => trait.Identity.Secret,
        "line" => trait.Identity.Line?.ToString(CultureInfo.InvariantCulture),
        "occurrence" => trait.Identity.Occurrence.ToString(CultureInfo.InvariantCulture),
        Payload => trait.Payload.ToString(),
        _ => throw new ArgumentException($"No such attribute: {attribute}.", nameof(attribute)),
    };
}
