using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <summary>Whether rules can be trusted with findings: every result gets a key, and no key is so coarse that it hides problems behind another.</summary>
internal static partial class RuleChecks
{
    private const int MaxKeys = 20;
    private const int MaxFields = 12;

    private static readonly Dictionary<string, string> NeverFields = new(StringComparer.OrdinalIgnoreCase)
    {
        ["severity"] = "scanners change it without the problem changing",
        ["cvss"] = "scanners change it without the problem changing",
        ["score"] = "scanners change it without the problem changing",
        ["title"] = "its words change with the scanner's version",
        ["description"] = "its words change with the scanner's version",
        ["message"] = "its words change with the scanner's version",
        ["line"] = "it shifts with every edit above it",
        ["endLine"] = "it shifts with every edit above it",
        ["column"] = "it shifts with every edit of the line",
        ["cwe"] = "it names a class of problems, not one",
        ["status"] = "it says what people did, not what was found",
    };

    // What says which problem it is; everything else says where.
    private static readonly string[] Telling = ["rule", "code", "secret", KeyFields.Fingerprint];

    public static IReadOnlyList<FieldError> Errors(DedupRulesChange change)
    {
        List<FieldError> errors = [];
        if (change.Keys.Count is 0 or > MaxKeys)
        {
            errors.Add(new FieldError("/keys", $"must hold 1 to {MaxKeys} keys"));
            return errors;
        }

        HashSet<string> names = new(StringComparer.Ordinal);
        for (var i = 0; i < change.Keys.Count; i++)
        {
            var (key, pointer) = (change.Keys[i], $"/keys/{i}");
            if (key is null)
            {
                errors.Add(new FieldError(pointer, "must be an object"));
                continue;
            }

            if (!Name().IsMatch(key.Name) || key.Name == "drift")
            {
                errors.Add(new FieldError($"{pointer}/name", "must be 1 to 40 lower-case letters, digits and '-', beginning with a letter, and not drift"));
            }
            else if (!names.Add(key.Name))
            {
                errors.Add(new FieldError($"{pointer}/name", "is the name of another key, too"));
            }

            if (key.Kinds.Count == 0 || key.Kinds.Distinct().Count() != key.Kinds.Count)
            {
                errors.Add(new FieldError($"{pointer}/kinds", "must name one or more kinds, each once"));
            }

            var fields = Fields(key, pointer, errors);
            if (fields.Count > 0 && TooCoarse(key, fields) is { } reason)
            {
                errors.Add(new FieldError($"{pointer}/fields", reason));
            }
        }

        if (errors.Count == 0)
        {
            errors.AddRange(Enum.GetValues<FindingKind>().Where(kind => !change.Keys.Any(key => key.Kinds.Contains(kind) && AlwaysThere(key))).Select(kind => new FieldError(
                "/keys", $"leave {Kebab(kind)} results without a key when they lack its fields; end with a fallback for them that needs rule and occurrence only, as position does")));
        }

        return errors;
    }

    private static HashSet<string> Fields(DedupKeyRule key, string pointer, List<FieldError> errors)
    {
        HashSet<string> fields = new(StringComparer.Ordinal);
        if (key.Fields.Count is 0 or > MaxFields)
        {
            errors.Add(new FieldError($"{pointer}/fields", $"must name 1 to {MaxFields} fields"));
            return fields;
        }

        for (var i = 0; i < key.Fields.Count; i++)
        {
            var (field, at) = (key.Fields[i] ?? "", $"{pointer}/fields/{i}");
            var name = field.EndsWith('?') ? field[..^1] : field;
            if (NeverFields.TryGetValue(name, out var why))
            {
                errors.Add(new FieldError(at, $"cannot be {NeverFields.Keys.First(known => known.Equals(name, StringComparison.OrdinalIgnoreCase))}: {why}"));
            }
            else if (!KeyFields.Names.Contains(name))
            {
                errors.Add(new FieldError(at, $"must be one of {string.Join(", ", KeyFields.Names.Order(StringComparer.Ordinal))}, with '?' at its end where it may be missing"));
            }
            else if (field == KeyFields.Fingerprint + "?")
            {
                errors.Add(new FieldError(at, "cannot be optional: such a key is made for each fingerprint there is, and for none otherwise"));
            }
            else if (!fields.Add(field) || fields.Contains(field.EndsWith('?') ? name : name + "?"))
            {
                errors.Add(new FieldError(at, "is named twice"));
            }
        }

        return fields;
    }

    /// <summary>Null when the key says enough of a problem that two different ones will not have it in common.</summary>
    private static string? TooCoarse(DedupKeyRule key, HashSet<string> fields)
    {
        var telling = fields.Where(field => field is not ("occurrence" or "occurrence?")).ToList();
        if (telling.Count == 1 && telling[0] != KeyFields.Fingerprint)
        {
            return $"hold nothing but {telling[0].TrimEnd('?')}: all results that have it in common would be one finding, whatever their causes";
        }

        if (!telling.Exists(Telling.Contains))
        {
            return $"must hold one of {string.Join(", ", Telling)} that has to be there: a place alone would make one finding of all its problems";
        }

        return !key.Fallback && telling.Count(field => !field.EndsWith('?')) == 1 && !telling.Contains(KeyFields.Fingerprint)
            ? $"must hold another field that has to be there, besides {telling.Single(field => !field.EndsWith('?'))}: where the others are missing, all results that have it in common would be one finding"
            : null;
    }

    private static bool AlwaysThere(DedupKeyRule key) => key.Fields.All(field => field is "rule" or "occurrence" || field.EndsWith('?'));

    private static string Kebab(FindingKind kind) => Findings.FindingFilter.KebabCase(kind);

    [GeneratedRegex(@"\A[a-z][a-z0-9-]{0,39}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Name();
}
