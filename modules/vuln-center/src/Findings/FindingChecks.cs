using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>What a change of a finding must look like, before anybody asks whether it may be made.</summary>
internal static partial class FindingChecks
{
    public const int BulkItems = 1_000;
    private const int ReasonLength = 2_000;
    private const int AssigneeLength = 200;

    public static Refusal? Check(StatusChange change) => Refuse([.. Of(change.Status, change.Reason, change.Evidence)]);

    public static Refusal? Check(BulkStatusChange change) => Refuse([.. Of(change.Items), .. Of(change.Status, change.Reason, change.Evidence)]);

    public static Refusal? Check(SuppressionChange change) => Refuse([.. OfReason(change.Reason)]);

    public static Refusal? Check(BulkSuppressionChange change) => Refuse(
    [
        .. Of(change.Items),
        .. OfReason(change.Reason),
        .. change is { Kind: not null, Until: null } ? [new FieldError("/until", "is required to suppress")] : (FieldError[])[],
        .. change is { Kind: null, Until: not null } ? [new FieldError("/until", "goes with a kind; without one suppressions are lifted")] : (FieldError[])[],
    ]);

    public static Refusal? Check(SeverityChange change) => Refuse([.. OfReason(change.Reason)]);

    public static Refusal? CheckReason(string? reason) => reason is null || !IsText(reason, ReasonLength)
        ? Refuse([FieldError.Query("reason", $"must be 1 to {ReasonLength} characters, without U+0000")])
        : null;

    public static Refusal? Check(AssigneeChange change) => change.Assignee is { } assignee && (!IsText(assignee, AssigneeLength) || assignee.Any(char.IsControl))
        ? Refuse([new FieldError("/assignee", $"must be 1 to {AssigneeLength} characters, without control characters, or null")])
        : null;

    private static IEnumerable<FieldError> Of(IReadOnlyList<BulkItem> items)
    {
        if (items.Count is 0 or > BulkItems)
        {
            yield return new FieldError("/items", $"must be 1 to {BulkItems} findings");
            yield break;
        }

        HashSet<Guid> seen = [];
        foreach (var (index, item) in items.Index())
        {
            if (item is null || !seen.Add(item.Id))
            {
                yield return new FieldError($"/items/{index}", item is null ? "must be an object" : "names a finding for the second time");
            }
        }
    }

    private static IEnumerable<FieldError> Of(FindingStatus status, string? reason, Evidence? evidence)
    {
        if (reason is not null && !IsText(reason, ReasonLength))
        {
            yield return new FieldError("/reason", $"must be 1 to {ReasonLength} characters, without U+0000");
        }

        if (reason is null && status is FindingStatus.Open or FindingStatus.Fixed)
        {
            yield return new FieldError("/reason", "is required to open a finding again and to claim that it is fixed");
        }

        if (evidence is { Scan: null, Sha256: null, Uri: null, Note: null })
        {
            yield return new FieldError("/evidence", "must name a scan, an artifact's sha256, a uri or a note");
        }

        if (evidence?.Sha256 is { } sha256 && !Sha256().IsMatch(sha256))
        {
            yield return new FieldError("/evidence/sha256", "must be 64 hexadecimal digits");
        }

        if (evidence?.Uri is { } uri && !(uri.Length <= ReasonLength && !uri.Any(char.IsControl) && Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme is "https" or "http"))
        {
            yield return new FieldError("/evidence/uri", "must be an absolute http or https address");
        }

        if (evidence?.Note is { } note && !IsText(note, ReasonLength))
        {
            yield return new FieldError("/evidence/note", $"must be 1 to {ReasonLength} characters, without U+0000");
        }
    }

    private static IEnumerable<FieldError> OfReason(string reason)
    {
        if (!IsText(reason, ReasonLength))
        {
            yield return new FieldError("/reason", $"must be 1 to {ReasonLength} characters, without U+0000");
        }
    }

    private static bool IsText(string text, int length) => !string.IsNullOrWhiteSpace(text) && text.Length <= length && !text.Contains('\0', StringComparison.Ordinal);

    private static Refusal? Refuse(IReadOnlyList<FieldError> errors) => errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The change is not valid.", errors);

    [GeneratedRegex(@"\A[0-9a-fA-F]{64}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Sha256();
}
