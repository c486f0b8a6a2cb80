using System.Net;
using System.Text;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class SlowUploadTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>, IDisposable
{
    private const string Report = """{"schemaVersion":"1","source":"audit","findings":[{"rule":"A-1","title":"slow","kind":"config","severity":"low","resource":"r"}]}""";

    private readonly string _spool = Directory.CreateTempSubdirectory("wave16-spool-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_spool, recursive: true);

    [Fact]
    public async Task A_tenant_whose_reports_arrive_slowly_is_told_to_wait_and_keeps_nobody_else_from_being_served()
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:SpoolDirectory", _spool), new("VulnCenter:ConcurrentReports", "1"), new("Limits:ConcurrentRequests", "2"), new("Limits:QueuedRequests", "0")]);
        using var slow = await module.ClientAsync("slow", Cancellation, "operator");
        using var quick = await module.ClientAsync("quick", Cancellation, "operator");
        var uploads = Enumerable.Range(0, 8).Select(_ => new SlowUpload()).ToList();
        var answers = uploads.ConvertAll(upload => slow.PostAsync(new Uri("/findings/imports?format=generic&service=shop-api", UriKind.Relative), upload, Cancellation));
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (Directory.EnumerateFiles(_spool).Count() < uploads.Count)
        {
            await look.WaitForNextTickAsync(Cancellation);
        }

        using var refused = await slow.PostReportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Report));
        var others = await quick.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Report));
        var read = await slow.FindingsAsync();
        uploads.ForEach(upload => upload.Finish());
        var taken = await Task.WhenAll(answers);

        Assert.Equal((HttpStatusCode.ServiceUnavailable, "overloaded"), (refused.StatusCode, await refused.CodeOfAsync()));
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Equal(1, others.Scans.Sum(scan => scan.New));
        Assert.Empty(read.Items);
        Assert.All(taken, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Single((await slow.FindingsAsync()).Items);
    }

    /// <summary>Sends its first bytes, and the rest when it is told to.</summary>
    private sealed class SlowUpload : HttpContent
    {
        private readonly TaskCompletionSource _finish = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SlowUpload() => Headers.ContentType = new("application/json");

        public void Finish() => _finish.SetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var report = Encoding.UTF8.GetBytes(Report);
            await stream.WriteAsync(report.AsMemory(0, 20), Cancellation);
            await stream.FlushAsync(Cancellation);
            await _finish.Task;
            await stream.WriteAsync(report.AsMemory(20), Cancellation);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
