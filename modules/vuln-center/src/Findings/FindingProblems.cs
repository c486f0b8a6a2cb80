using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Findings;

/// <summary>The stable codes of this module's expected failures.</summary>
internal static class FindingProblems
{
    public const string InvalidTransition = "finding.invalid-transition";
    public const string Verified = "finding.verified";
    public const string EvidenceInsufficient = "finding.evidence-insufficient";
    public const string Inseparable = "finding.inseparable";
    public const string IdentityUnknown = "finding.identity-unknown";
    public const string SuppressionExpiry = "finding.suppression-expiry";
    public const string NotSuppressed = "finding.not-suppressed";
    public const string NotOverridden = "finding.severity-not-overridden";
    public const string UnknownFormat = "import.unknown-format";
    public const string UnrecognisedFormat = "import.unrecognised-format";
    public const string AmbiguousFormat = "import.ambiguous-format";
    public const string ReportUnreadable = "import.report-unreadable";
    public const string ReportTooLarge = "import.report-too-large";
    public const string UnsupportedEncoding = "import.unsupported-encoding";
    public const string ImportFinished = "import.finished";
    public const string TooManyVectors = "cvss.too-many-vectors";
    public const string FeedUnreadable = "feed.unreadable";
    public const string FeedOlder = "feed.older";
    public const string FeedShrunk = "feed.shrunk";
    public const string FeedUpdateFinished = "feed.update-finished";
    public const string TrialFinished = "dedup.trial-finished";
    public const string GroupKeptApart = "group.kept-apart";
    public const string GroupNotMember = "group.not-a-member";

    public static readonly ProblemCode[] All =
    [
        new(InvalidTransition, 409, "The finding's status does not allow that"),
        new(Verified, 409, "The finding is verified"),
        new(EvidenceInsufficient, 422, "The evidence does not suffice"),
        new(Inseparable, 422, "The observations cannot be told apart"),
        new(IdentityUnknown, 409, "The observations' identities are not known"),
        new(SuppressionExpiry, 422, "The suppression does not end when it may"),
        new(NotSuppressed, 409, "The finding is not suppressed"),
        new(NotOverridden, 409, "The finding's severity is not overridden"),
        new(UnknownFormat, 400, "Unknown report format"),
        new(UnrecognisedFormat, 422, "No format recognises the report"),
        new(AmbiguousFormat, 422, "More than one format recognises the report"),
        new(ReportUnreadable, 422, "The report cannot be read"),
        new(ReportTooLarge, 413, "The report is too large"),
        new(UnsupportedEncoding, 415, "The report's encoding is not supported"),
        new(ImportFinished, 409, "The import is finished"),
        new(TooManyVectors, 413, "The request holds more than is scored at once"),
        new(FeedUnreadable, 422, "The feed cannot be read"),
        new(FeedOlder, 409, "The feed is older than the one held"),
        new(FeedShrunk, 409, "The feed has lost most of its entries"),
        new(FeedUpdateFinished, 409, "The update is finished"),
        new(TrialFinished, 409, "The trial is finished"),
        new(GroupKeptApart, 409, "The findings are kept apart"),
        new(GroupNotMember, 422, "The finding is not in the group"),
    ];
}
