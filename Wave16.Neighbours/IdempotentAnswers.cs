using System.Security.Cryptography;

namespace Wave16.Neighbours;

/// <summary>
/// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same key with the same body gets the stored answer,
/// with another body 422. Kept for 24 hours.
/// </summary>
internal sealed class IdempotentAnswers(TimeProvider time)
{
    public const string HeaderName = "Idempotency-Key";

    static readonly TimeSpan Kept = TimeSpan.FromHours(24);

    readonly Lock _gate = new();
    readonly Dictionary<(string Tenant, string Operation, string Key), Stored> _answers = [];
    readonly Queue<((string, string, string) Key, DateTimeOffset Until)> _expiries = [];

    /// <param name="scope">Whose key it is and for what.</param>
    /// <param name="context">The call; its body as sent is what is compared.</param>
    /// <param name="create">Does it and gives the answer's body and location; null when there is no room. Runs once per key.</param>
    public IResult Once((string Tenant, string Operation, string Key) scope, HttpContext context, Func<(byte[] Body, string Location)?> create)
    {
        var digest = SHA256.HashData(RequestBody.Of(context).Bytes.Span);
        Stored? stored;
        lock (_gate)
        {
            var now = time.GetUtcNow();
            while (_expiries.TryPeek(out var oldest) && oldest.Until <= now)
                _answers.Remove(_expiries.Dequeue().Key);

            if (!_answers.TryGetValue(scope, out stored))
            {
                if (create() is not { } made)
                    return Problems.Full("entries");
                stored = new(digest, made.Body, made.Location);
                _answers[scope] = stored;
                _expiries.Enqueue((scope, now + Kept));
            }
        }
        if (!stored.Digest.AsSpan().SequenceEqual(digest))
        {
            return Problems.Of(
                StatusCodes.Status422UnprocessableEntity, "idempotency.key-reused", "This key was used with another body.",
                [new("was used with another body", Header: HeaderName)]);
        }
        context.Response.Headers.Location = stored.Location;
        context.Response.StatusCode = StatusCodes.Status201Created;
        return TypedResults.Bytes(stored.Body, "application/json");
    }

    sealed record Stored(byte[] Digest, byte[] Body, string Location);
}
