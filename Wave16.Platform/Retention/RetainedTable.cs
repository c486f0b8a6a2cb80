namespace Wave16.Platform.Retention;

/// <summary>A table partitioned by range of a time, with a default partition.</summary>
/// <param name="Schema">snake_case.</param>
/// <param name="Name">snake_case.</param>
/// <param name="Column">The partition key, a <c>timestamptz</c>.</param>
/// <param name="Setting">Below <c>Retention:</c>, whole days.</param>
/// <param name="Days">How long a row is kept at least, unless the setting says otherwise.</param>
/// <param name="Span">What one partition holds.</param>
internal sealed record RetainedTable(string Schema, string Name, string Column, string Setting, int Days, PartitionSpan Span)
{
    /// <summary>Rows that are kept for as long as another table needs them.</summary>
    public NeededBy? NeededBy { get; init; }

    public string Qualified => $"{Schema}.{Name}";

    /// <summary>The advisory lock under which this table's partitions and rows are dropped.</summary>
    public string LockName => $"retention/{Qualified}";

    public static RetainedTable Event { get; } = new("platform", "event", "occurred_at", RetentionPeriods.Events, 7, PartitionSpan.Day)
    {
        NeededBy = new NeededBy("platform.delivery", "event_id"),
    };

    public static RetainedTable DeadLetter { get; } = new("platform", "dead_letter", "died_at", RetentionPeriods.DeadLetters, 30, PartitionSpan.Week);

    public static RetainedTable Command { get; } = new("platform", "command", "at", RetentionPeriods.Commands, 60, PartitionSpan.Week);
}

/// <param name="Table">It has the retained table's time column too.</param>
/// <param name="Key">A column of both tables that, with the time, names the row.</param>
internal sealed record NeededBy(string Table, string Key);
