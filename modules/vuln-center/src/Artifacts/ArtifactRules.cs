using System.Text;
using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>What an artifact's fields may be.</summary>
internal static partial class ArtifactRules
{
    public const int NoteLength = 2_000;
    public const string NoteReason = "must be 1 to 2000 characters, without U+0000";
    private const int UriLength = 2_000;
    private const int NameLength = 200;
    private const long LargestSize = 1L << 50;

    public static bool IsNote(string note) => !string.IsNullOrWhiteSpace(note) && note.Length <= NoteLength && !note.Contains('\0', StringComparison.Ordinal);

    /// <summary>64 hexadecimal digits as bytes.</summary>
    public static byte[]? Digest(string sha256) => Hex().IsMatch(sha256) ? Convert.FromHexString(sha256) : null;

    /// <summary>The last part of what a client calls the file: no path, no control characters, nothing that hides it.</summary>
    public static string? FileName(string? sent)
    {
        var name = new StringBuilder();
        foreach (var rune in (sent ?? "")[((sent ?? "").LastIndexOfAny(['/', '\\']) + 1)..].EnumerateRunes())
        {
            // Format characters turn "exe.txt" around.
            if (!Rune.IsControl(rune) && rune != Rune.ReplacementChar && Rune.GetUnicodeCategory(rune) != System.Globalization.UnicodeCategory.Format && name.Length < NameLength - 1)
            {
                name.Append(rune.ToString());
            }
        }

        var plain = name.ToString().Trim().TrimStart('.');
        return plain.Length == 0 ? null : plain;
    }

    public static (NewArtifact? Artifact, Refusal? Refusal) Check(ArtifactReference reference)
    {
        List<FieldError> errors = [];
        var digest = Digest(reference.Sha256);
        if (digest is null)
        {
            errors.Add(new FieldError("/sha256", "must be 64 hexadecimal digits"));
        }

        if (!(reference.Uri.Length <= UriLength && !reference.Uri.Any(char.IsControl) && Uri.TryCreate(reference.Uri, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http"))
        {
            errors.Add(new FieldError("/uri", $"must be an absolute http or https address of at most {UriLength} characters"));
        }

        var type = MediaTypes.Find(reference.MediaType);
        if (type is null)
        {
            errors.Add(new FieldError("/mediaType", $"must be one of {string.Join(", ", MediaTypes.Taken)}"));
        }

        if (reference.Size is < 1 or > LargestSize)
        {
            errors.Add(new FieldError("/size", $"must be 1 to {LargestSize} bytes"));
        }

        if (reference.Note is { } note && !IsNote(note))
        {
            errors.Add(new FieldError("/note", NoteReason));
        }

        return errors.Count == 0 && digest is not null && type is not null
            ? (new NewArtifact(digest, type, Name: null, reference.Size, reference.Uri, reference.Note, Content: null), null)
            : (null, new Refusal(ProblemCodes.Invalid.Code, "The reference is not valid.", errors));
    }

    [GeneratedRegex(@"\A[0-9a-fA-F]{64}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Hex();
}
