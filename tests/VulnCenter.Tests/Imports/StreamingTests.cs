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

    [Theory]
    [InlineData("osv-scanner", "{\"results\":[{\"source\":{\"path\":\"/sbom.json\",\"type\":\"sbom\"},\"packages\":[{}", OsvPackage, 100_000, "]}]}")]
    [InlineData("cyclonedx", "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\"><components>", "<component type=\"library\" bom-ref=\"pkg:npm/left-pad@1.0.0\"><name>left-pad</name></component>", 200_000, "</components><vulnerabilities/></bom>")]
    [InlineData("dependency-check", DependencyCheck, "<dependency isVirtual=\"false\"><fileName>a.jar</fileName></dependency>", 250_000, "</dependencies></analysis>")]
    public async Task A_report_names_so_many_packages_in_bounded_memory(string format, string head, string part, int times, string tail)
    {
        using var report = new RepeatedStream(Encoding.UTF8.GetBytes(head), Encoding.UTF8.GetBytes(part), times, Encoding.UTF8.GetBytes(tail));
        var (before, most, count) = (GC.GetTotalMemory(forceFullCollection: true), 0L, 0);

        var reader = ReportFormats.Find(format);
        Assert.NotNull(reader);
        await foreach (var item in reader.ReadAsync(report, Reports.Context, TestContext.Current.CancellationToken))
        {
            if (count++ % 50_000 == 0)
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
        }

        Assert.Equal(format == "osv-scanner" ? times + 1 : 1, count);
        Assert.InRange(most, 0, 192 << 20);
    }

    [Theory]
    [InlineData("osv-scanner", "{\"results\":[{\"source\":{\"path\":\"/sbom.json\"},\"packages\":[{}", OsvPackage, "]}]}")]
    [InlineData("osv-scanner", "{\"results\":[{\"source\":{\"path\":\"/sbom.json\"},\"packages\":[{}", ",{\"package\":{\"name\":{},\"version\":{}}}", "]}]}")]
    [InlineData("dependency-check", DependencyCheck, "<dependency isVirtual=\"false\"><fileName>a.jar</fileName><vulnerabilities><vulnerability><name>a</name></vulnerability></vulnerabilities></dependency>", "</dependencies></analysis>")]
    [InlineData("dependency-check", DependencyCheck, "<dependency isVirtual=\"false\"><fileName>a.jar</fileName></dependency>", "</dependencies></analysis>")]
    public async Task A_report_that_names_more_is_refused_with_the_limit(string format, string head, string part, string tail)
    {
        using var report = new RepeatedStream(Encoding.UTF8.GetBytes(head), Encoding.UTF8.GetBytes(part), 1_000_000, Encoding.UTF8.GetBytes(tail));

        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync(format, report));

        Assert.Equal(ReportFormatException.TooMany, refused.Code);
        Assert.Contains("takes more than 67108864 characters; send it in parts, with scope=partial.", refused.Detail, StringComparison.Ordinal);
    }

    const string OsvPackage = ",{\"package\":{\"name\":\"left-pad\",\"version\":\"1.0.0\",\"ecosystem\":\"npm\"},\"vulnerabilities\":[{\"id\":\"GHSA-aaaa-bbbb-cccc\"}],\"groups\":[{\"ids\":[\"GHSA-aaaa-bbbb-cccc\"],\"max_severity\":\"7.5\"}]}";

    const string DependencyCheck = "<analysis xmlns=\"https://jeremylong.github.io/DependencyCheck/dependency-check.4.0.xsd\"><dependencies>";

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
