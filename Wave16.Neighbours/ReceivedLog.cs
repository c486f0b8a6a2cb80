using System.Text.Json.Serialization;

namespace Wave16.Neighbours;

/// <summary>Whether the caller authenticated and by which scheme; never with what.</summary>
internal sealed record AuthorizationSeen(bool Present, string? Scheme);

/// <summary>One call as it reached a neighbour.</summary>
/// <param name="Sequence">1, 2, 3 … in the order in which the calls were answered, without gaps.</param>
/// <param name="Time">When it arrived.</param>
/// <param name="Method">As sent.</param>
/// <param name="Path">Path and query below the neighbour's own root, percent-encoded as sent.</param>
/// <param name="Headers">Repeated ones joined by a comma; credentials replaced by <c>(present)</c>.</param>
/// <param name="Authorization">Instead of the header of that name.</param>
/// <param name="Body">The first 64 KiB; text, or base64 when it is not UTF-8.</param>
/// <param name="BodyEncoding"><c>utf-8</c> or <c>base64</c>.</param>
/// <param name="BodyBytes">Its whole length, as far as it was read.</param>
/// <param name="BodyTruncated">Whether <paramref name="Body"/> is less than that.</param>
/// <param name="Status">What was answered; null when nothing was (down, or the caller went away).</param>
/// <param name="Fault"><c>down</c> or <c>failed</c> when a fault decided the answer.</param>
internal sealed record ReceivedCall(
    long Sequence,
    DateTimeOffset Time,
    string Method,
    string Path,
    IReadOnlyDictionary<string, string> Headers,
    AuthorizationSeen Authorization,
    string Body,
    string BodyEncoding,
    long BodyBytes,
    bool BodyTruncated,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] int? Status,
    string? Fault)
{
    /// <summary>What it costs to keep, in characters.</summary>
    [JsonIgnore]
    public int Weight { get; } = 256 + Path.Length + Body.Length + Headers.Sum(header => header.Key.Length + header.Value.Length);
}

/// <param name="Items">In order of sequence.</param>
/// <param name="Next">What to ask for as <c>after</c> to go on.</param>
/// <param name="Last">The latest sequence given.</param>
/// <param name="Dropped">How many the log has let go of, oldest first, for want of room.</param>
internal sealed record ReceivedPage(IReadOnlyList<ReceivedCall> Items, long Next, long Last, long Dropped);

/// <summary>The latest calls of one neighbour: at most 10,000 of them, and at most 32 Mi characters.</summary>
internal sealed class ReceivedLog(TimeProvider time)
{
    const int Capacity = 10_000;
    const long MaxWeight = 32 << 20;

    readonly Lock _gate = new();
    readonly ReceivedCall?[] _ring = new ReceivedCall?[Capacity];
    TaskCompletionSource _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int _held;
    long _last;
    long _dropped;
    long _weight;

    public (long Last, int Held, long Dropped) Counts
    {
        get
        {
            lock (_gate) return (_last, _held, _dropped);
        }
    }

    public void Append(ReceivedCall call)
    {
        TaskCompletionSource arrival;
        lock (_gate)
        {
            if (_held == Capacity) DropOldest();
            _last++;
            _held++;
            _weight += call.Weight;
            _ring[_last % Capacity] = call with { Sequence = _last };
            while (_weight > MaxWeight && _held > 1) DropOldest();
            arrival = _arrival;
            _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        arrival.SetResult();
    }

    /// <summary>Forgets what is held. Sequence numbers go on, so that no reader misses what comes next.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            Array.Clear(_ring);
            _held = 0;
            _weight = 0;
            _dropped = 0;
        }
    }

    /// <summary>What came after <paramref name="after"/>; when there is nothing yet, as soon as there is, or after <paramref name="wait"/>.</summary>
    public async Task<ReceivedPage> ReadAsync(long after, int limit, TimeSpan wait, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        while (true)
        {
            var (page, arrival) = Read(after, limit);
            var left = wait - time.GetElapsedTime(started);
            if (page.Items.Count > 0 || left <= TimeSpan.Zero)
                return page;
            try
            {
                await arrival.WaitAsync(left, time, cancellationToken);
            }
            catch (TimeoutException)
            {
                return page;
            }
        }
    }

    (ReceivedPage Page, Task Arrival) Read(long after, int limit)
    {
        lock (_gate)
        {
            var items = new List<ReceivedCall>();
            for (var sequence = Math.Max(after, _last - _held) + 1; sequence <= _last && items.Count < limit; sequence++)
            {
                if (_ring[sequence % Capacity] is { } call)
                    items.Add(call);
            }
            return (new(items, items.Count > 0 ? items[^1].Sequence : after, _last, _dropped), _arrival.Task);
        }
    }

    void DropOldest()
    {
        var slot = (_last - _held + 1) % Capacity;
        _weight -= _ring[slot]?.Weight ?? 0;
        _ring[slot] = null;
        _held--;
        _dropped++;
    }
}
