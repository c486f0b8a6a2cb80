using System.Text;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Takes a secret out of everything else that a result says: scanners repeat it in titles, paths, addresses and ids of their own.</summary>
internal sealed class Redaction
{
    const string Mask = "****";
    const int LeastLength = 4;
    const int LeastWord = 8;

    static readonly char[] BetweenWords = [' ', '\t', '\r', '\n', '"', '\'', '`', ',', ';', '=', ':', '<', '>', '(', ')', '[', ']', '{', '}'];

    readonly List<(string Text, string Preview)> _parts = [];

    /// <param name="match">The secret, or code that holds it; of that also words that may be it are taken out.</param>
    public static Redaction Of(string? match, SecretTrace? trace)
    {
        var redaction = new Redaction();
        if (string.IsNullOrWhiteSpace(match) || trace is { IsMasked: true })
            return redaction;
        redaction.Add(match.Trim(), trace?.Preview ?? Mask);
        foreach (var word in match.Split(BetweenWords, StringSplitOptions.RemoveEmptyEntries))
        {
            if (word.Length >= LeastWord && word.Any(char.IsAsciiDigit))
                redaction.Add(word, trace?.Preview is { } preview && word == match.Trim() ? preview : Mask);
        }
        redaction._parts.Sort((one, other) => other.Text.Length.CompareTo(one.Text.Length));
        return redaction;
    }

    public string Text(string text)
    {
        foreach (var (part, preview) in _parts)
            text = text.Replace(part, preview, StringComparison.OrdinalIgnoreCase);
        return text;
    }

    /// <summary>The result without the secret. Ids of the tool's own are kept as keyed hashes: who knows how they are made could guess by them.</summary>
    public RawObservation Of(RawObservation o, ReportContext context)
    {
        if (o.Kind == FindingKind.Secret)
            o = o with { Fingerprints = [.. o.Fingerprints.Select(print => Keyed(print, context))] };
        return _parts.Count == 0 ? o : o with
        {
            RuleId = Text(o.RuleId),
            Title = Text(o.Title),
            Description = Maybe(o.Description),
            RawSeverity = Maybe(o.RawSeverity),
            Cvss = [.. o.Cvss.Select(cvss => cvss with { Vector = Text(cvss.Vector), Origin = Text(cvss.Origin) })],
            Identifiers = [.. o.Identifiers.Where(id => Text(id.Value) == id.Value)],
            Aliases = [.. o.Aliases.Where(alias => Text(alias.A) == alias.A && Text(alias.B) == alias.B)],
            Component = o.Component is not { } component ? null : new Component(
                Text(component.Name), Maybe(component.Version), Maybe(component.Ecosystem), Maybe(component.Purl), Maybe(component.PurlWithoutVersion),
                [.. component.FixedVersions.Select(Text)]),
            Manifest = Maybe(o.Manifest),
            ImageRepository = Maybe(o.ImageRepository),
            Location = o.Location is { } location ? location with { Path = Maybe(location.Path) } : null,
            OtherLocations = [.. o.OtherLocations.Select(place => place with { Path = Maybe(place.Path) })],
            Web = o.Web is not { } web ? null : new WebLocation(Maybe(web.Method), Maybe(web.Host), Maybe(web.PathTemplate), Maybe(web.Parameter), Maybe(web.Url)),
            Resource = Maybe(o.Resource),
            Fingerprints = [.. o.Fingerprints.Select(print => print with { Algorithm = Text(print.Algorithm), Value = Text(print.Value) })],
            References = [.. o.References.Select(Text)],
            Environments = [.. o.Environments.Select(Text)],
            SuppressedInSource = o.SuppressedInSource is { } suppression ? suppression with { Justification = Maybe(suppression.Justification) } : null,
        };
    }

    // Another algorithm: the ids as the tool writes them, kept before, are no word against these.
    static ToolFingerprint Keyed(ToolFingerprint print, ReportContext context) => print with
    {
        Algorithm = $"{print.Algorithm}/keyed",
        Value = Sha256Digest.Keyed(context.SecretKey.Span, Encoding.UTF8.GetBytes($"{print.Algorithm}\0{print.Value}")).ToString(),
    };

    string? Maybe(string? text) => text is null ? null : Text(text);

    void Add(string text, string preview)
    {
        foreach (var spelling in (string[])[text, Uri.EscapeDataString(text)])
        {
            if (spelling.Length >= LeastLength && !_parts.Exists(part => part.Text == spelling))
                _parts.Add((spelling, preview));
        }
    }
}
