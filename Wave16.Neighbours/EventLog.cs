using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Wave16.Neighbours;

/// <param name="Json">In CloudEvents' JSON format.</param>
internal sealed record KeptEvent((string Source, string Id) Key, DateTimeOffset ReceivedAt, string Tenant, byte[] Json)
{
    /// <summary>What it costs to keep, in bytes.</summary>
    public int Weight => 256 + Json.Length;
}

/// <param name="Items">In the order in which they came.</param>
/// <param name="Next">What to ask for as <c>after</c> to go on; null at the end.</param>
/// <param name="Dropped">How many the log has let go of, oldest first, for want of room.</param>
internal sealed record AuditPage(
    IReadOnlyList<AuditEvent> Items,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? Next,
    long Dropped);

/// <summary>The latest events: at most 50,000 of them, and at most 64 MiB. Which ones came is remembered of ten times as many.</summary>
internal sealed class EventLog
{
    const int Capacity = 50_000;
    const long MaxWeight = 64 << 20;
    const int Remembered = 10 * Capacity;

    readonly Lock _gate = new();
    readonly Queue<KeptEvent> _events = [];
    readonly HashSet<UInt128> _known = [];
    readonly Queue<UInt128> _order = [];
    long _dropped;
    long _weight;

    /// <returns>How many had not come before.</returns>
    public int Append(IEnumerable<KeptEvent> events)
    {
        var accepted = 0;
        lock (_gate)
        {
            foreach (var @event in events)
            {
                var digest = DigestOf(@event.Key);
                if (!_known.Add(digest))
                    continue;
                accepted++;
                _order.Enqueue(digest);
                if (_order.Count > Remembered)
                    _known.Remove(_order.Dequeue());
                _events.Enqueue(@event);
                _weight += @event.Weight;
                while (_events.Count > Capacity || _weight > MaxWeight && _events.Count > 1)
                {
                    _weight -= _events.Dequeue().Weight;
                    _dropped++;
                }
            }
        }
        return accepted;
    }

    /// <param name="after">The place of an event, from 1: what was dropped keeps its own.</param>
    /// <param name="tenant">Null: of all.</param>
    public AuditPage Read(long after, int limit, string? tenant)
    {
        lock (_gate)
        {
            var found = _events.Index().Skip((int)Math.Clamp(after - _dropped, 0, _events.Count)).Where(kept => tenant is null || kept.Item.Tenant == tenant).Take(limit + 1).ToList();
            return new(
                [.. found.Take(limit).Select(kept => Shown(kept.Item))],
                found.Count > limit ? _dropped + found[limit - 1].Index + 1 : null,
                _dropped);
        }
    }

    static AuditEvent Shown(KeptEvent kept)
    {
        using var json = JsonDocument.Parse(kept.Json);
        return new(kept.ReceivedAt, kept.Tenant, json.RootElement.Clone());
    }

    static UInt128 DigestOf((string Source, string Id) key)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{key.Source.Length}:{key.Source}{key.Id}"), digest);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(digest);
    }
}
