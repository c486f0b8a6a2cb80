using System.Globalization;
using System.Text.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// The types that members of the normalized schema have. One of another type is no member that is missing: what was meant
/// would be lost, the place of a finding or its severity, and nobody told.
/// </summary>
internal static class GenericShape
{
    static readonly Type Text = new("a string", value => value.ValueKind == JsonValueKind.String);
    static readonly Type Whole = new("an integer", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out _));
    static readonly Type Number = new("a number", value => value.ValueKind == JsonValueKind.Number);
    static readonly Type TextOrWhole = new("a string or an integer", value => Text.Holds(value) || Whole.Holds(value));
    static readonly Type Texts = Type.ListOf(Text, "an array of strings");

    static readonly Dictionary<string, Type> Cvss = new(StringComparer.Ordinal) { ["vector"] = Text, ["score"] = Number, ["origin"] = Text };

    static readonly Dictionary<string, Type> Finding = new(StringComparer.Ordinal)
    {
        ["id"] = Text,
        ["kind"] = Text,
        ["rule"] = Text,
        ["title"] = Text,
        ["description"] = Text,
        ["severity"] = Text,
        ["manifest"] = Text,
        ["image"] = Text,
        ["resource"] = Text,
        ["service"] = Text,
        ["source"] = Text,
        ["identifiers"] = Texts,
        ["references"] = Texts,
        ["environments"] = Texts,
        ["cwes"] = Type.ListOf(TextOrWhole, "an array of integers or strings"),
        ["cvss"] = Type.ListOf(new Type("a string or an object", value => value.ValueKind is JsonValueKind.String or JsonValueKind.Object) { Members = Cvss }, "an array of vectors"),
        ["component"] = Type.ObjectOf(("purl", Text), ("name", Text), ("version", Text), ("ecosystem", Text), ("fixedVersions", Texts)),
        ["location"] = Type.ObjectOf(("path", Text), ("startLine", Whole), ("endLine", Whole), ("startColumn", Whole), ("snippet", Text), ("scope", Text)),
        ["web"] = Type.ObjectOf(("url", Text), ("method", Text), ("host", Text), ("pathTemplate", Text), ("parameter", Text)),
        ["secret"] = Type.ObjectOf(("match", Text)),
        ["fingerprints"] = new Type("an object of strings", value => value.ValueKind == JsonValueKind.Object && value.EnumerateObject().All(print => print.Value.ValueKind is JsonValueKind.String or JsonValueKind.Null)),
    };

    /// <summary>The first member of another type than it must have, from the finding on; null counts as missing.</summary>
    public static (string Pointer, string Expected)? Fault(JsonElement finding) => Fault(finding, Finding, "");

    static (string Pointer, string Expected)? Fault(JsonElement parent, Dictionary<string, Type> members, string pointer)
    {
        foreach (var (name, type) in members)
        {
            if (parent.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null && Fault(value, type, $"{pointer}/{name}") is { } fault)
                return fault;
        }
        return null;
    }

    static (string Pointer, string Expected)? Fault(JsonElement value, Type type, string pointer)
    {
        if (!type.Holds(value))
            return (pointer, type.Name);
        if (type.Members is { } members && value.ValueKind == JsonValueKind.Object)
            return Fault(value, members, pointer);
        if (type.Items is not { } items)
            return null;
        var index = 0;
        foreach (var item in value.EnumerateArray())
        {
            if (Fault(item, items, string.Create(CultureInfo.InvariantCulture, $"{pointer}/{index++}")) is { } fault)
                return fault;
        }
        return null;
    }

    sealed record Type(string Name, Predicate<JsonElement> Holds)
    {
        public Dictionary<string, Type>? Members { get; init; }

        public Type? Items { get; init; }

        public static Type ListOf(Type items, string name) => new(name, value => value.ValueKind == JsonValueKind.Array) { Items = items };

        public static Type ObjectOf(params (string Name, Type Type)[] members) => new("an object", value => value.ValueKind == JsonValueKind.Object)
        {
            Members = members.ToDictionary(member => member.Name, member => member.Type, StringComparer.Ordinal),
        };
    }
}
