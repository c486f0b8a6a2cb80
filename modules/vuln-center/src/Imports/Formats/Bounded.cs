using System.Globalization;
using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Lengths, in UTF-16 code units. What people read is cut with a mark; what identifies a finding is never cut (two long
/// names must not become one) but shortened to its beginning and its SHA-256.
/// </summary>
internal static class Bounded
{
    public const int TitleLength = 500;
    public const int DescriptionLength = 16_000;
    public const int IdentityLength = 500;
    public const int PathLength = 1_000;
    public const int WordLength = 200;
    public const int ListLength = 100;

    public static string Title(string text) => Cut(SingleLine(text), TitleLength);

    public static string? Description(string? text) =>
        string.IsNullOrWhiteSpace(text) ? null : Cut(text.Trim(), DescriptionLength);

    public static string? Word(string? text) => string.IsNullOrWhiteSpace(text) ? null : Cut(text.Trim(), WordLength);

    /// <summary>Null for what is missing or blank: null never identifies anything.</summary>
    public static string? Identity(string? text, int length = IdentityLength)
    {
        if (string.IsNullOrWhiteSpace(text))
            return null;
        if (text.Length <= length)
            return text;
        var hash = Sha256Digest.Of(Encoding.UTF8.GetBytes(text));
        return string.Create(CultureInfo.InvariantCulture, $"{Prefix(text, length - 72)}…sha256:{hash}");
    }

    /// <summary>Addresses, each once; those that are too long are left out, for half an address leads nowhere.</summary>
    public static IReadOnlyList<string> Urls(params IEnumerable<string?> urls) =>
        [.. urls.OfType<string>().Where(url => url.Length <= PathLength).Distinct().Take(ListLength)];

    public static IReadOnlyList<string> Words(IEnumerable<string?> words) =>
        [.. words.Select(Word).OfType<string>().Distinct().Take(ListLength)];

    public static string? Path(string? text) => Identity(text, PathLength);

    static string Cut(string text, int length) => text.Length <= length
        ? text
        : string.Create(CultureInfo.InvariantCulture, $"{Prefix(text, length - 40)}… [cut, {text.Length} characters]");

    static string Prefix(string text, int length) =>
        text[..(char.IsHighSurrogate(text[length - 1]) ? length - 1 : length)];

    static string SingleLine(string text)
    {
        var trimmed = text.AsSpan().Trim();
        var end = trimmed.IndexOfAny('\r', '\n');
        return (end < 0 ? trimmed : trimmed[..end].TrimEnd()).ToString();
    }
}
