using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>What is kept of a secret: a keyed hash that tells two apart, and a preview that tells nobody the secret.</summary>
internal static class Secrets
{
    // Hard-coded or plainly stored credentials.
    static readonly int[] CredentialCwes = [256, 257, 259, 260, 312, 313, 318, 321, 522, 540, 547, 615, 798];

    /// <summary>Whether what a result of these weaknesses shows of the code is a secret.</summary>
    public static bool AreShownBy(IReadOnlyList<int> cwes) => cwes.Any(cwe => CredentialCwes.Contains(cwe));

    /// <summary>The match is the secret, or the line that holds it, as the scanner gives it.</summary>
    public static SecretTrace? Trace(string? match, ReportContext context)
    {
        if (string.IsNullOrWhiteSpace(match))
            return null;
        var isMasked = IsMasked(match);
        return new SecretTrace(
            Sha256Digest.Keyed(context.SecretKey.Span, Encoding.UTF8.GetBytes(match)),
            isMasked ? "****" : Preview(match))
        {
            IsMasked = isMasked,
        };
    }

    // Trivy writes asterisks over what it found, gitleaks --redact the word.
    static bool IsMasked(string match) =>
        match.Contains("***", StringComparison.Ordinal) || match.Contains("REDACTED", StringComparison.Ordinal);

    static string Preview(string match)
    {
        var shown = Math.Min(4, match.Length / 4);
        return string.Concat(match.AsSpan(0, shown > 0 && char.IsHighSurrogate(match[shown - 1]) ? shown - 1 : shown), "****");
    }
}
