using System.Globalization;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary>An entity's version as a strong entity tag (RFC 9110 §8.8.3): <c>"7"</c>.</summary>
public readonly record struct ETagVersion(long Version)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"\"{Version}\"");

    /// <summary>Of a representation that changes without the version: <c>"7-1f40fc92da241694"</c>.</summary>
    public static string OfContent(long version, ReadOnlySpan<byte> content) =>
        string.Create(CultureInfo.InvariantCulture, $"\"{version}-{Convert.ToHexStringLower(SHA256.HashData(content).AsSpan(0, 8))}\"");
}

/// <summary>The If-Match a change was made against (RFC 9110 §13.1.1). A handler takes it as a parameter: a request without
/// one is refused with 428, one that is not <c>*</c> or a single entity tag with 400.</summary>
/// <param name="Version">The version the caller read; null for <c>*</c>, whichever is current.</param>
public readonly record struct IfMatch(long? Version)
{
    // Versions start at 1, so this equals none: what a weak or foreign tag means in a strong comparison.
    private const long Unmatchable = -1;

    /// <returns>Null when the change may go on; 412 when the entity has moved on since.</returns>
    public Refusal? Check(long current) =>
        Version is null || Version == current
            ? null
            : new Refusal(ProblemCodes.PreconditionFailed.Code, $"The current version is {new ETagVersion(current)}; read it again and decide anew.");

    public static ValueTask<IfMatch> BindAsync(HttpContext context)
    {
        var header = context.Request.Headers.IfMatch;
        if (header.Count == 0)
            throw new RefusedException(new Refusal(ProblemCodes.PreconditionRequired.Code, "Send If-Match with the ETag of the version you read."));
        return header.Count == 1 && TryParse(header[0], out var match)
            ? ValueTask.FromResult(match)
            : throw new RefusedException(new Refusal(
                ProblemCodes.Invalid.Code, "If-Match is malformed.", [FieldError.Header("If-Match", "must be * or one entity tag, for example \"7\"")]));
    }

    internal static bool TryParse(string? text, out IfMatch match)
    {
        match = default;
        var value = text.AsSpan().Trim(" \t");
        if (value is "*")
            return true;
        var weak = value.StartsWith("W/", StringComparison.Ordinal);
        var tag = weak ? value[2..] : value;
        if (tag.Length < 2 || tag[0] != '"' || tag[^1] != '"' || tag[1..^1].Contains('"'))
            return false;
        // What follows the version is of content that no change is made against.
        var name = tag[1..^1];
        match = !weak && long.TryParse(name.IndexOf('-') is var content and > 0 ? name[..content] : name, NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? new IfMatch(version)
            : new IfMatch(Unmatchable);
        return true;
    }
}
