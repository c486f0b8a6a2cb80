using System.Text.Json;

namespace Wave16.VulnCenter.Reporting;

/// <summary>A report about findings, written while its rows come. What it says depends on the findings and on nothing else, so that its entity tag holds.</summary>
internal interface IReport
{
    /// <summary>Last part of its path, and of the neighbour it is for.</summary>
    string Name { get; }

    string MediaType { get; }

    /// <summary>Grows with every change of what is written for the same findings: part of the entity tag.</summary>
    int Shape { get; }

    Task WriteAsync(ReportSnapshot snapshot, ReportJson json, CancellationToken cancellation);

    /// <summary>The same as a table, for people.</summary>
    Task WriteAsync(ReportSnapshot snapshot, CsvTable csv, CancellationToken cancellation);
}

/// <summary>JSON that goes out as it is written.</summary>
internal sealed class ReportJson(Stream destination) : IAsyncDisposable
{
    private const int FlushAt = 32 << 10;

    public Utf8JsonWriter Writer { get; } = new(destination);

    /// <summary>Between two items: sends what has gathered.</summary>
    public Task GoOnAsync(CancellationToken cancellation) => Writer.BytesPending >= FlushAt ? Writer.FlushAsync(cancellation) : Task.CompletedTask;

    public Task EndAsync(CancellationToken cancellation) => Writer.FlushAsync(cancellation);

    /// <summary>Sends nothing more: what was cut off by a failure must not look whole.</summary>
    public ValueTask DisposeAsync()
    {
        Writer.Reset(Stream.Null);
        return Writer.DisposeAsync();
    }
}
