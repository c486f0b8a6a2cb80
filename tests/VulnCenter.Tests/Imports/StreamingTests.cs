using System.Text;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>The memory measured is the process's, so nothing else runs meanwhile.</summary>
[CollectionDefinition(nameof(MeasuredAlone), DisableParallelization = true)]
public sealed class MeasuredAlone;

[Collection(nameof(MeasuredAlone))]
public sealed class StreamingTests
{
    [Fact]
    public async Task A_report_of_a_hundred_megabytes_streams_through_in_bounded_memory()
    {
        using var report = new RepeatedStream(
            "<NessusClientData_v2><Report name=\"r\"><ReportHost name=\"h\">"u8.ToArray(),
            Encoding.UTF8.GetBytes(TextReports.Item("1", $"<synopsis>{new string('s', 4_000)}</synopsis>")), 25_000, "</ReportHost></Report></NessusClientData_v2>"u8.ToArray());
        GC.Collect();
        var (before, most, count) = (GC.GetTotalMemory(forceFullCollection: true), 0L, 0);

        var reader = ReportFormats.Find("nessus");
        Assert.NotNull(reader);
        await foreach (var item in reader.ReadAsync(report, Reports.Context, TestContext.Current.CancellationToken))
        {
            if (count++ % 5_000 == 0)
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
        }

        Assert.Equal(25_001, count);
        Assert.InRange(most, 0, 16 << 20);
    }

    /// <summary>A beginning, a part many times over, and an end, none of it held.</summary>
    sealed class RepeatedStream(byte[] head, byte[] part, int times, byte[] tail) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length { get; } = head.Length + ((long)part.Length * times) + tail.Length;
        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            var body = Position - head.Length;
            var rest = body < 0 ? head.AsSpan((int)Position)
                : body < (long)part.Length * times ? part.AsSpan((int)(body % part.Length))
                : tail.AsSpan((int)Math.Min(tail.Length, body - ((long)part.Length * times)));
            var length = Math.Min(rest.Length, buffer.Length);
            rest[..length].CopyTo(buffer);
            Position += length;
            return length;
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));
        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override void Flush() { }
    }
}
