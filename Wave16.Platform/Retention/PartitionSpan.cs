namespace Wave16.Platform.Retention;

/// <summary>How much time one partition of a table holds, in UTC. Few partitions suit a table that is looked up without its time.</summary>
public enum PartitionSpan
{
    Day,

    /// <summary>From Monday.</summary>
    Week,

    Month,
}

internal static class PartitionSpans
{
    /// <summary>The first instant of the span that holds <paramref name="at"/>.</summary>
    public static DateTimeOffset StartOf(this PartitionSpan span, DateTimeOffset at)
    {
        var day = new DateTimeOffset(at.UtcDateTime.Date, TimeSpan.Zero);
        return span switch
        {
            PartitionSpan.Day => day,
            PartitionSpan.Week => day.AddDays(-(((int)day.DayOfWeek + 6) % 7)),
            PartitionSpan.Month => day.AddDays(1 - day.Day),
            _ => throw new ArgumentOutOfRangeException(nameof(span)),
        };
    }

    /// <summary>The first instant after the span that holds <paramref name="at"/>.</summary>
    public static DateTimeOffset EndOf(this PartitionSpan span, DateTimeOffset at) => span switch
    {
        PartitionSpan.Day => span.StartOf(at).AddDays(1),
        PartitionSpan.Week => span.StartOf(at).AddDays(7),
        PartitionSpan.Month => span.StartOf(at).AddMonths(1),
        _ => throw new ArgumentOutOfRangeException(nameof(span)),
    };

    /// <summary>What no partition holds yet between the start of the span of <paramref name="from"/> and <paramref name="until"/>, cut at the ends of spans.</summary>
    public static IEnumerable<(DateTimeOffset From, DateTimeOffset To)> Missing(this PartitionSpan span, IReadOnlyCollection<PartitionRange> ranges, DateTimeOffset from, DateTimeOffset until)
    {
        for (var at = span.StartOf(from); at < until;)
        {
            if (ranges.FirstOrDefault(range => range.From <= at && at < range.To) is { } covering)
            {
                at = covering.To;
                continue;
            }

            // A change of the span leaves partitions that begin or end within a new one.
            var end = ranges.Where(range => range.From > at).Select(range => range.From).Append(span.EndOf(at)).Min();
            yield return (at, end);
            at = end;
        }
    }
}

/// <param name="Name">With its schema, quoted.</param>
/// <param name="From">Of the first row it can hold.</param>
/// <param name="To">Exclusive.</param>
internal sealed record PartitionRange(string Name, DateTimeOffset From, DateTimeOffset To);
