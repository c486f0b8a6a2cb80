using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary><c>?limit=&amp;cursor=</c>, bound as a handler's parameter. Limit 1 to 500, 50 unless told; anything else is a 400 that names it.</summary>
/// <param name="Limit">Most items on the page.</param>
/// <param name="Cursor">As given out with the page before, or null for the first page.</param>
/// <param name="Filters">Fingerprint of what else the request says (tenant, path, every other query parameter): a cursor
/// goes on only with the filters and the order it was made for.</param>
public sealed record PageRequest(int Limit, string? Cursor, string Filters)
{
    public const int DefaultLimit = 50;
    public const int MaxLimit = 500;

    /// <summary>Reads where the page starts.</summary>
    /// <param name="after">The position after which the page starts; default when it is the first page.</param>
    /// <returns>Null, or why the cursor is refused: <c>cursor.invalid</c>, <c>cursor.filters-changed</c>.</returns>
    public Refusal? ReadCursor<TPosition>(out TPosition? after)
    {
        after = default;
        return Cursor is null ? null : PageCursor.Decode(Cursor, Filters, out after);
    }

    /// <summary>Makes the page of rows read with <c>limit + 1</c>: the extra row only says that there is a next page.</summary>
    /// <param name="rows">At most <see cref="Limit"/> + 1, in keyset order.</param>
    /// <param name="position">The keyset values of a row, as a record or a tuple-like type that serialises to JSON.</param>
    public Page<T> ToPage<T, TPosition>(IReadOnlyList<T> rows, Func<T, TPosition> position) =>
        rows.Count <= Limit
            ? new Page<T>(rows, Next: null)
            : new Page<T>([.. rows.Take(Limit)], PageCursor.Encode(position(rows[Limit - 1]), Filters));

    public static ValueTask<PageRequest> BindAsync(HttpContext context)
    {
        var query = context.Request.Query;
        var limit = DefaultLimit;
        if (query.TryGetValue("limit", out var given)
            && !(given.Count == 1 && int.TryParse(given[0], NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit is >= 1 and <= MaxLimit))
        {
            throw new RefusedException(new Refusal(
                ProblemCodes.Invalid.Code, "The limit is out of range.", [FieldError.Query("limit", $"must be a whole number from 1 to {MaxLimit}")]));
        }

        var cursor = query["cursor"];
        if (cursor.Count > 1)
            throw new RefusedException(new Refusal(ProblemCodes.CursorInvalid.Code, "There is more than one cursor.", [FieldError.Query("cursor", "must be given once")]));
        return ValueTask.FromResult(new PageRequest(limit, cursor is [{ Length: > 0 } token] ? token : null, Fingerprint(context)));
    }

    private static string Fingerprint(HttpContext context)
    {
        var text = new StringBuilder(128).Append(Caller.Of(context.User)?.Tenant).Append('\n').Append(context.Request.Path.Value);
        foreach (var (name, values) in context.Request.Query
            .Where(p => !p.Key.Equals("limit", StringComparison.OrdinalIgnoreCase) && !p.Key.Equals("cursor", StringComparison.OrdinalIgnoreCase))
            .OrderBy(p => p.Key, StringComparer.OrdinalIgnoreCase))
        {
            text.Append('\n').Append(name.ToLowerInvariant());
            foreach (var value in values)
                text.Append('\0').Append(value);
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, 8));
    }
}
