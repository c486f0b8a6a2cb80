using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// A scanner's report format. One implementation is one file in this folder, with its severity table, listed in
/// <see cref="ReportFormats"/>; nothing outside the folder changes when one is added.
/// </summary>
internal interface IReportFormat
{
    /// <summary>As in <c>?format=</c>: lower-case, stable.</summary>
    string Name { get; }

    string Title { get; }

    /// <summary>Versions of the format known to be read, for people.</summary>
    IReadOnlyList<string> Versions { get; }

    /// <summary>The scanner's severity words (compared without case) and what they become.</summary>
    IReadOnlyList<SeverityMapping> Severities { get; }

    /// <summary>
    /// Whether a report looks like this format and no other. For <c>format=auto</c>, which takes a report only if exactly one
    /// format recognises it: what could be anything is recognised by none.
    /// </summary>
    bool Recognises(ReportPeek peek);

    /// <summary>
    /// Reads a report in bounded memory. The whole document is checked before the first item is yielded, so a broken
    /// one yields nothing. The stream is decompressed and seekable (it is read twice) and stays open.
    /// </summary>
    /// <exception cref="ReportFormatException">The document is broken, or is not of this format.</exception>
    IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken);
}

internal sealed record SeverityMapping(string Raw, Severity Severity);

internal sealed record ReportContext
{
    /// <summary>
    /// HMAC-SHA-256 key for secrets, 32 bytes or more, one per tenant. Identity of secret findings depends on it: a new
    /// key makes the same secrets new findings.
    /// </summary>
    public required ReadOnlyMemory<byte> SecretKey { get; init; }

    /// <summary>The source's name where the request gives one; null: the report's own word counts.</summary>
    public string? Source { get; init; }

    /// <summary>Largest raw result, and largest single JSON token anywhere, in bytes.</summary>
    public int MaxElementBytes { get; init; } = 16 << 20;

    /// <summary>Nesting allowed in the document.</summary>
    public int MaxDepth { get; init; } = 72;

    /// <summary>Raw results, rules and files in one report together.</summary>
    public int MaxElements { get; init; } = 2_000_000;
}

/// <summary>
/// The document as a whole cannot be read: HTTP 422. Where: <see cref="ByteOffset"/> from 0 in the decompressed report,
/// <see cref="Line"/> and <see cref="Column"/> from 1 (the column counts bytes), <see cref="Pointer"/> the innermost
/// element known (RFC 6901).
/// </summary>
internal sealed class ReportFormatException(string code, string detail, long byteOffset, long line, long column, string pointer)
    : Exception($"{detail} (byte {byteOffset}, line {line}, column {column}, at '{pointer}')")
{
    public const string Empty = "report.empty";
    public const string Truncated = "report.truncated";
    public const string Malformed = "report.malformed";
    public const string TooDeep = "report.too-deep";
    public const string TooLarge = "report.element-too-large";
    public const string TooMany = "report.too-many-elements";
    public const string DuplicateKey = "report.duplicate-key";
    public const string WrongType = "report.wrong-type";
    public const string Encoding = "report.encoding";
    public const string Entity = "report.entity";
    public const string Foreign = "report.foreign-format";

    public string Code { get; } = code;
    public string Detail { get; } = detail;
    public long ByteOffset { get; } = byteOffset;
    public long Line { get; } = line;
    public long Column { get; } = column;
    public string Pointer { get; } = pointer;
}
