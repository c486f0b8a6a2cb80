using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Feeds;

/// <param name="A">Ordinally less than <paramref name="B"/>.</param>
/// <param name="Since">Null: since now.</param>
internal sealed record AliasRow(string A, string B, string Source, DateTimeOffset? Since);

/// <summary>
/// Aliases of advisories: documents of the OSV schema (https://ossf.github.io/osv-schema/, as OSV and GitHub publish them), one, an array or
/// one on each line; or <c>{"aliases":[{"a","b","source","since"}]}</c>. Of OSV only <c>aliases</c> counts; <c>related</c> and
/// <c>upstream</c> say that two problems have to do with each other, not that they are one.
/// </summary>
/// <param name="source">Whose edges these are; a row of the simple form may name its own when this is null.</param>
internal sealed class AliasFeed(string? source)
{
    public const string DefaultSource = "osv";

    private const int NameLength = 200;
    private static readonly JsonPaths Arrays = new("*");
    private static readonly JsonPaths Rows = new("aliases/*", "id", "schema_version");

    /// <summary>The latest <c>modified</c>.</summary>
    public DateTimeOffset? AsOf { get; private set; }

    /// <summary>Withdrawn advisories, and bulletins that bundle several CVEs: they state no edge.</summary>
    public long Ignored { get; private set; }

    /// <exception cref="FeedException">It is no such file, or an entry is wrong.</exception>
    /// <exception cref="ReportFormatException">The JSON is broken.</exception>
    public async IAsyncEnumerable<AliasRow> ReadAsync(Stream feed, ReportContext context, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (await FirstAsync(feed, cancellation) == (byte)'[')
        {
            using var map = await JsonMap.ReadAsync(feed, Arrays, context, cancellation);
            foreach (var section in map.Sections)
            {
                await foreach (var item in map.ItemsAsync(section, cancellation))
                {
                    using var document = item.Parse();
                    foreach (var row in Advisory(document.RootElement, item.Pointer))
                    {
                        yield return row;
                    }
                }
            }

            yield break;
        }

        if (await IsLinesAsync(feed, context, cancellation))
        {
            feed.Position = 0;
            await foreach (var (line, bytes) in TextLines.ReadAsync(feed, context.MaxElementBytes, cancellation))
            {
                if (bytes.Span.Trim(" \t\r"u8).IsEmpty)
                {
                    continue;
                }

                using var document = Parse(line == 1 ? WithoutMark(bytes) : bytes, line, context);
                foreach (var row in Advisory(document.RootElement, FeedException.LinePointer(line)))
                {
                    yield return row;
                }
            }

            yield break;
        }

        using (var map = await JsonMap.ReadAsync(feed, Rows, context, cancellation))
        {
            if (map.Has("/id"))
            {
                if (feed.Length > context.MaxElementBytes)
                {
                    throw new FeedException("", $"is a single advisory of more than {context.MaxElementBytes} bytes");
                }

                using var document = Parse(WithoutMark((await map.WholeAsync((int)feed.Length, cancellation)).Raw), line: 1, context);
                foreach (var row in Advisory(document.RootElement, ""))
                {
                    yield return row;
                }

                yield break;
            }

            if (!map.Has("/aliases"))
            {
                throw new FeedException("/aliases", "is missing: this is neither an OSV advisory nor a list of aliases");
            }

            foreach (var section in map.Sections)
            {
                await foreach (var item in map.ItemsAsync(section, cancellation))
                {
                    using var document = item.Parse();
                    yield return Pair(document.RootElement, item.Pointer);
                }
            }
        }
    }

    private IEnumerable<AliasRow> Advisory(JsonElement advisory, string pointer)
    {
        var id = FeedValues.AdvisoryId(advisory.Text("id"u8)) ?? throw new FeedException(Below(pointer, "id"), "has no advisory id");
        var aliases = advisory.Field("aliases"u8);
        if (aliases.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.Array))
        {
            throw new FeedException(Below(pointer, "aliases"), "is not an array");
        }

        var modified = Moment(advisory, "modified"u8, pointer);
        AsOf = modified > AsOf || AsOf is null ? modified ?? AsOf : AsOf;
        var ids = aliases.ValueKind == JsonValueKind.Array
            ? aliases.EnumerateArray()
                .Select((alias, i) => FeedValues.AdvisoryId(alias.Text()) ?? throw new FeedException(Below(pointer, $"aliases/{i}"), "is not an advisory id"))
                .Where(alias => alias != id).Distinct(StringComparer.Ordinal).ToList()
            : [];
        if (ids.Count > Bounded.ListLength)
        {
            throw new FeedException(Below(pointer, "aliases"), $"has more than {Bounded.ListLength} ids");
        }

        if (ids.Count > 0 && (advisory.Text("withdrawn"u8) is not null || (Groups.Bulletins.Contains(id) && ids.Count(alias => alias.StartsWith("CVE-", StringComparison.Ordinal)) > 1)))
        {
            Ignored++;
            return [];
        }

        return ids.Select(alias => Row(id, alias, source ?? DefaultSource, modified));
    }

    private AliasRow Pair(JsonElement pair, string pointer)
    {
        var a = FeedValues.AdvisoryId(pair.Text("a"u8)) ?? throw new FeedException($"{pointer}/a", "is not an advisory id");
        var b = FeedValues.AdvisoryId(pair.Text("b"u8)) ?? throw new FeedException($"{pointer}/b", "is not an advisory id");
        if (a == b)
        {
            throw new FeedException(pointer, "names the same id twice");
        }

        var own = pair.Text("source"u8);
        if (own is not null && (own.Length > NameLength || own.Any(char.IsControl) || string.IsNullOrWhiteSpace(own) || (source is not null && own != source)))
        {
            throw new FeedException($"{pointer}/source", source is null ? $"must be 1 to {NameLength} characters, without control characters" : $"is not {source}, which the request names");
        }

        return Row(a, b, own ?? source ?? throw new FeedException($"{pointer}/source", "is missing, here and in the request"), Moment(pair, "since"u8, pointer));
    }

    private static AliasRow Row(string a, string b, string source, DateTimeOffset? since) =>
        string.CompareOrdinal(a, b) < 0 ? new AliasRow(a, b, source, since) : new AliasRow(b, a, source, since);

    private static DateTimeOffset? Moment(JsonElement element, ReadOnlySpan<byte> name, string pointer) => element.Text(name) is not { } text
        ? null
        : FeedValues.Moment(text) ?? throw new FeedException(Below(pointer, System.Text.Encoding.ASCII.GetString(name)), "is not a time");

    // Below a line there is no pointer: the line is near enough.
    private static string Below(string pointer, string name) => pointer.StartsWith('#') ? pointer : $"{pointer}/{name}";

    private static async Task<int> FirstAsync(Stream feed, CancellationToken cancellation)
    {
        feed.Position = 0;
        var head = new byte[4 << 10];
        var read = await feed.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancellation);
        var text = WithoutMark(head.AsMemory(0, read)).Span.TrimStart(" \t\r\n"u8);
        return text.IsEmpty ? -1 : text[0];
    }

    /// <summary>The first line is a whole document, and something follows it.</summary>
    private static async Task<bool> IsLinesAsync(Stream feed, ReportContext context, CancellationToken cancellation)
    {
        feed.Position = 0;
        var first = true;
        try
        {
            await foreach (var (line, bytes) in TextLines.ReadAsync(feed, context.MaxElementBytes, cancellation))
            {
                if (bytes.Span.Trim(" \t\r"u8).IsEmpty)
                {
                    continue;
                }

                if (!first)
                {
                    return true;
                }

                first = false;
                using var document = Parse(line == 1 ? WithoutMark(bytes) : bytes, line, context);
            }
        }
        catch (FeedException)
        {
            // No document ends with its line.
        }

        return false;
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> json, long line, ReportContext context)
    {
        try
        {
            return JsonDocument.Parse(JsonText.Sanitize(json), new JsonDocumentOptions { MaxDepth = context.MaxDepth });
        }
        catch (JsonException broken)
        {
            throw FeedException.AtLine(line, $"is not JSON: {broken.Message.Split(" LineNumber:")[0]}");
        }
    }

    private static ReadOnlyMemory<byte> WithoutMark(ReadOnlyMemory<byte> bytes) =>
        bytes.Span.StartsWith(System.Text.Encoding.UTF8.Preamble) ? bytes[3..] : bytes;
}
