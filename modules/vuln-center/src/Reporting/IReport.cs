using System.Buffers;
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

/// <summary>JSON that goes out as it is written. What has gathered is lost, and never sent, when writing ends early: cut off, it must not look whole.</summary>
internal sealed class ReportJson : IAsyncDisposable
{
    private const int FlushAt = 32 << 10;

    private readonly Stream _destination;

    // The serializer flushes the writer after every item, and a response takes no synchronous writes.
    private readonly ArrayBufferWriter<byte> _gathered = new(2 * FlushAt);

    public ReportJson(Stream destination)
    {
        _destination = destination;
        Writer = new Utf8JsonWriter(_gathered);
    }

    public Utf8JsonWriter Writer { get; }

    /// <summary>Between two items: sends what has gathered.</summary>
    public Task GoOnAsync(CancellationToken cancellation) => _gathered.WrittenCount + Writer.BytesPending >= FlushAt ? EndAsync(cancellation) : Task.CompletedTask;

    public async Task EndAsync(CancellationToken cancellation)
    {
        await Writer.FlushAsync(cancellation);
        await _destination.WriteAsync(_gathered.WrittenMemory, cancellation);
        _gathered.ResetWrittenCount();
    }

    public ValueTask DisposeAsync() => Writer.DisposeAsync();
}
