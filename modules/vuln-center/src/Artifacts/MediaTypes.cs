using System.Buffers;
using System.Text;
using Microsoft.Net.Http.Headers;
using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>
/// Which media types are taken, and whether content is what its type says. Types a browser would run (HTML, SVG, scripts) are not
/// taken; text may hold anything, for it is never shown inline.
/// </summary>
internal static class MediaTypes
{
    /// <summary>How much of the beginning of an artifact is looked at, in bytes.</summary>
    public const int HeadBytes = 512;

    private const string Text = "text/plain";
    private const string Undeclared = "application/octet-stream";
    private const string Program = "a program";
    private const string OtherBinary = "other binary data";

    // RFC 8259 section 3: what a JSON value begins with.
    private static readonly SearchValues<byte> JsonStarts = SearchValues.Create("{[\"-0123456789tfn"u8);

    /// <summary>Types with a signature that content must begin with, at an offset; programs are recognised to be refused.</summary>
    private static readonly (string Type, int At, byte[] Bytes)[] Signatures =
    [
        ("image/png", 0, [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]),
        ("image/jpeg", 0, [0xFF, 0xD8, 0xFF]),
        ("image/gif", 0, "GIF87a"u8.ToArray()),
        ("image/gif", 0, "GIF89a"u8.ToArray()),
        ("image/webp", 8, "WEBP"u8.ToArray()),
        ("application/pdf", 0, "%PDF-"u8.ToArray()),
        ("application/zip", 0, [(byte)'P', (byte)'K', 3, 4]),
        ("application/zip", 0, [(byte)'P', (byte)'K', 5, 6]),
        ("application/gzip", 0, [0x1F, 0x8B, 8]),
        ("application/zstd", 0, [0x28, 0xB5, 0x2F, 0xFD]),
        ("video/mp4", 4, "ftyp"u8.ToArray()),
        ("application/vnd.tcpdump.pcap", 0, [0xD4, 0xC3, 0xB2, 0xA1]),
        ("application/vnd.tcpdump.pcap", 0, [0xA1, 0xB2, 0xC3, 0xD4]),
        ("application/vnd.tcpdump.pcap", 0, [0x0A, 0x0D, 0x0D, 0x0A]),
        (Program, 0, [0x7F, (byte)'E', (byte)'L', (byte)'F']),
        (Program, 0, [0xCA, 0xFE, 0xBA, 0xBE]),
        (Program, 0, [0xCF, 0xFA, 0xED, 0xFE]),
        (Program, 0, [0xCE, 0xFA, 0xED, 0xFE]),
    ];

    private static readonly string[] Textual =
        [Text, "text/markdown", "text/csv", "application/json", "application/sarif+json", "application/vnd.cyclonedx+json", "application/xml", "text/xml", "application/vnd.cyclonedx+xml"];

    /// <summary>All that are taken.</summary>
    public static readonly IReadOnlyList<string> Taken =
        [.. Textual, .. Signatures.Select(signature => signature.Type).Where(type => type != Program).Distinct(StringComparer.Ordinal)];

    /// <summary>The type without its parameters, in lower case; null when it is none, or is not taken.</summary>
    public static string? Find(string? declared) =>
        MediaTypeHeaderValue.TryParse(declared, out var type) && type.MediaType.Value?.ToLowerInvariant() is { } name && Taken.Contains(name, StringComparer.Ordinal) ? name : null;

    /// <summary>What the content is taken to be, or why it is not taken. Content that nobody named is what it shows itself to be.</summary>
    /// <param name="declared"><c>Content-Type</c> of the part.</param>
    /// <param name="head">Its first <see cref="HeadBytes"/> bytes.</param>
    /// <param name="pointer">The part.</param>
    public static (string? Type, Refusal? Refusal) Judge(string? declared, ReadOnlySpan<byte> head, string pointer)
    {
        var shown = Sniff(head);
        if (shown == Program)
        {
            return (null, NotTaken("is a program", pointer));
        }

        if (string.IsNullOrWhiteSpace(declared) || (MediaTypeHeaderValue.TryParse(declared, out var parsed) && parsed.MediaType.Equals(Undeclared, StringComparison.OrdinalIgnoreCase)))
        {
            return shown == OtherBinary ? (null, NotTaken("names no media type, and its content is none that is taken", pointer)) : (shown, null);
        }

        if (Find(declared) is not { } type)
        {
            return (null, NotTaken($"has the media type {(declared.Length > 100 ? declared[..100] : declared)}, which is not taken", pointer));
        }

        return IsWhatItSays(type, shown, head)
            ? (type, null)
            : (null, new Refusal(ArtifactProblems.TypeMismatch, $"The content is not {type}.", [new FieldError(pointer, $"is {shown} and not {type}, as it says")]));
    }

    private static bool IsWhatItSays(string type, string shown, ReadOnlySpan<byte> head)
    {
        if (!Textual.Contains(type, StringComparer.Ordinal))
        {
            return shown == type;
        }

        var start = WithoutByteOrderMark(head).TrimStart(" \t\r\n"u8);
        return shown == Text && type switch
        {
            _ when type.EndsWith("json", StringComparison.Ordinal) => start.Length > 0 && JsonStarts.Contains(start[0]),
            _ when type.EndsWith("xml", StringComparison.Ordinal) => start.StartsWith((byte)'<'),
            _ => true,
        };
    }

    private static string Sniff(ReadOnlySpan<byte> head)
    {
        foreach (var (type, at, bytes) in Signatures)
        {
            if (head.Length >= at + bytes.Length && head[at..].StartsWith(bytes))
            {
                return type;
            }
        }

        // "MZ" begins words, too; a Windows program has zeros soon after it.
        return head.StartsWith("MZ"u8) && head.Contains((byte)0) ? Program : IsText(head) ? Text : OtherBinary;
    }

    private static bool IsText(ReadOnlySpan<byte> head)
    {
        for (var rest = head; !rest.IsEmpty;)
        {
            if (Rune.DecodeFromUtf8(rest, out var rune, out var length) is var status && status != OperationStatus.Done)
            {
                // Cut off within a character.
                return status == OperationStatus.NeedMoreData && head.Length == HeadBytes;
            }

            if (Rune.IsControl(rune) && rune.Value is not ('\t' or '\n' or '\r' or '\f' or '\u001b'))
            {
                return false;
            }

            rest = rest[length..];
        }

        return true;
    }

    private static ReadOnlySpan<byte> WithoutByteOrderMark(ReadOnlySpan<byte> head) => head.StartsWith("\uFEFF"u8) ? head[3..] : head;

    private static Refusal NotTaken(string reason, string pointer) =>
        new(ArtifactProblems.TypeNotAllowed, $"Taken are {string.Join(", ", Taken)}.", [new FieldError(pointer, reason)]);
}
