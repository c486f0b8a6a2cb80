using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace Wave16.Neighbours;

/// <param name="Items">In the order in which they first came.</param>
/// <param name="Next">What to ask for as <c>after</c> to go on; null at the end.</param>
internal sealed record Page<T>(
    IReadOnlyList<T> Items,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] long? Next);

internal enum Placed { Created, Replaced, Full }

/// <summary>What a stand-in holds of one kind: bounded, by key, and readable in the order in which it came.</summary>
internal sealed class Shelf<TKey, TValue>(int capacity = 100_000) where TKey : notnull
{
    readonly Lock _gate = new();
    readonly Dictionary<TKey, long> _places = [];
    readonly SortedDictionary<long, TValue> _values = [];
    long _last;

    public int Room
    {
        get
        {
            lock (_gate) return capacity - _places.Count;
        }
    }

    public Placed Put(TKey key, TValue value)
    {
        lock (_gate)
        {
            if (_places.TryGetValue(key, out var place))
            {
                _values[place] = value;
                return Placed.Replaced;
            }
            if (_places.Count >= capacity)
                return Placed.Full;
            _places[key] = ++_last;
            _values[_last] = value;
            return Placed.Created;
        }
    }

    /// <summary>Replaces what is there by what <paramref name="change"/> makes of it.</summary>
    public bool TryChange(TKey key, Func<TValue, TValue> change, [MaybeNullWhen(false)] out TValue changed)
    {
        lock (_gate)
        {
            if (!_places.TryGetValue(key, out var place))
            {
                changed = default;
                return false;
            }
            changed = _values[place] = change(_values[place]);
            return true;
        }
    }

    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        lock (_gate)
        {
            value = default;
            return _places.TryGetValue(key, out var place) && _values.TryGetValue(place, out value);
        }
    }

    public void Remove(TKey key)
    {
        lock (_gate)
        {
            if (_places.Remove(key, out var place))
                _values.Remove(place);
        }
    }

    public Page<TValue> Read(long after, int limit, Func<TValue, bool> where)
    {
        lock (_gate)
        {
            var found = _values.Where(pair => pair.Key > after && where(pair.Value)).Take(limit + 1).ToList();
            return new(
                [.. found.Take(limit).Select(pair => pair.Value)],
                found.Count > limit ? found[limit - 1].Key : null);
        }
    }
}
