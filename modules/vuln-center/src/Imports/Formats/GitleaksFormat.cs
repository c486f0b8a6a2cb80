using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Gitleaks' JSON: the array of leaks, with the field names of version 8 (<c>RuleID</c>, <c>Secret</c>) or of those before it
/// (<c>rule</c>, <c>offender</c>). A raw result is an element of the array. Its SARIF is read as SARIF and gives the same
/// findings. Gitleaks' own <c>Fingerprint</c> is not used: it holds the line. Neither are author, e-mail and commit message
/// kept, nor the line: it holds the secret.
/// </summary>
internal sealed class GitleaksFormat : IReportFormat
{
    static readonly JsonPaths Paths = new("*");

    public string Name => "gitleaks";
    public string Title => "Gitleaks JSON";
    public IReadOnlyList<string> Versions => ["8", "6 and 7"];

    /// <summary>Gitleaks states no severity: a leaked credential is high until somebody looks at what it opens.</summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } = [new("leak", Severity.High)];

    public bool Recognises(ReportPeek peek) => peek.Kind == DocumentKind.JsonArray
        && (peek.HasAll("*/RuleID", "*/File", "*/Match") || peek.HasAll("*/rule", "*/file", "*/offender"));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        if (map.HasNames || !await map.LooksLikeAsync(map.Sections, IsLeak, cancellationToken))
            throw JsonMap.Foreign("Not a Gitleaks report: no array of leaks with a RuleID and a File.");

        yield return new ReportItem.ScannerSeen("gitleaks")
        {
            Results = map.Sections.Sum(section => section.Count),
            // Before version 8 a clean scan wrote null, and so does a pipeline that lost its input.
            Failure = map.Sections.Count == 0 ? "The report is null." : null,
        };
        var occurrences = new Occurrences();
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, occurrences, context);
        }
    }

    // The file is empty when standard input was scanned.
    static bool IsLeak(JsonElement raw) => raw.Field("File"u8).ValueKind == JsonValueKind.String
        ? raw.Text("RuleID"u8) is not null || raw.Text("Description"u8) is not null
        : raw.Field("file"u8).ValueKind == JsonValueKind.String && raw.Text("rule"u8) is not null;

    ReportItem Read(JsonItem item, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("RuleID"u8) ?? raw.Text("rule"u8) ?? raw.Text("Description"u8)) is not { } rule)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "RuleID is missing.");

        var match = raw.Text("Secret"u8) ?? raw.Text("offender"u8) ?? raw.Text("Match"u8) ?? raw.Text("line"u8);
        var secret = Secrets.Trace(match, context);
        var redaction = Redaction.Of(match, secret);
        var path = (raw.Text("File"u8) ?? raw.Text("file"u8)) is { } file ? Bounded.Path(redaction.Text(file.Replace('\\', '/'))) : null;
        var line = raw.Position("StartLine"u8) ?? raw.Position("lineNumber"u8);
        var commit = Bounded.Word(raw.Text("Commit"u8) ?? raw.Text("commit"u8));
        return new ReportItem.Observed(redaction.Of(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.KeyedHash(context),
            Kind = FindingKind.Secret,
            RuleId = rule,
            Title = Bounded.Title(redaction.Text(raw.Text("Description"u8) ?? rule)),
            Description = commit is null ? null : Bounded.Description($"In commit {redaction.Text(commit)}{(Bounded.Word(raw.Text("Date"u8) ?? raw.Text("date"u8)) is { } date ? $" of {redaction.Text(date)}" : "")}."),
            Severity = Severities[0].Severity,
            Location = path is null ? null : new CodeLocation(path, line, raw.Position("EndLine"u8), raw.Position("StartColumn"u8)),
            Secret = secret,
            Occurrence = occurrences.Next(
                $"{secret?.Hash}", rule, path, string.Create(CultureInfo.InvariantCulture, $"{commit}\0{line}:{raw.Position("StartColumn"u8)}")),
            References = Bounded.Urls(raw.Text("Link"u8), raw.Text("leakURL"u8)),
        }, context));
    }
}
