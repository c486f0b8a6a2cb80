using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace Wave16.VulnCenter.Contracts;

/// <summary>vuln-center over HTTP.</summary>
/// <param name="http">Its base address is the module's, ending in '/'; it brings the token.</param>
/// <param name="clock">For the time between two looks at an import; the system's unless given.</param>
/// <remarks>Every call throws <see cref="VulnCenterException"/> when the module refuses it, and <see cref="HttpRequestException"/> when it cannot be reached.</remarks>
public sealed partial class VulnCenterClient(HttpClient http, TimeProvider? clock = null)
{
    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(500);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private readonly TimeProvider _clock = clock ?? TimeProvider.System;

    /// <summary><c>GET /findings</c>.</summary>
    /// <param name="filter">Query parameters by name: <c>service</c>, <c>severity</c>, <c>limit</c>, <c>cursor</c> …</param>
    public async Task<FindingPage> ListAsync(IReadOnlyDictionary<string, string> filter, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings", filter));
        return await SendAsync<FindingPage>(request, cancellation);
    }

    /// <summary><c>GET /findings/{id}</c>; its entity tag is <see cref="Finding.Version"/>.</summary>
    public async Task<FindingDetail> GetAsync(Guid id, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/{id:D}"));
        return await SendAsync<FindingDetail>(request, cancellation);
    }

    /// <summary><c>POST /findings/{id}/status</c>.</summary>
    /// <param name="version">The finding's version that the change was made against.</param>
    /// <param name="idempotencyKey">The same one again gives the first answer again.</param>
    /// <exception cref="VulnCenterException">412 when the finding has moved on, 409 when its status does not allow the change.</exception>
    public async Task<FindingDetail> ChangeStatusAsync(Guid id, long version, StatusChange change, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/status"));
        request.Content = JsonContent.Create(change, options: Json);
        request.Headers.IfMatch.Add(new EntityTagHeaderValue(string.Create(CultureInfo.InvariantCulture, $"\"{version}\"")));
        AddKey(request, idempotencyKey);
        return await SendAsync<FindingDetail>(request, cancellation);
    }

    /// <summary><c>POST /findings/imports</c>: sends a scanner's own report. It may still be under way afterwards: <see cref="WaitAsync(Import, CancellationToken)"/>.</summary>
    /// <param name="parameters">Query parameters by name: <c>format</c> and <c>service</c>; <c>source</c>, <c>scope</c> … where wanted.</param>
    /// <param name="report">Read once, not closed.</param>
    /// <param name="contentEncoding"><c>gzip</c> or <c>zstd</c> where the report is compressed.</param>
    /// <param name="idempotencyKey">The same one again is the same import.</param>
    /// <exception cref="VulnCenterException">422 with the position when the report is broken; nothing of it is kept.</exception>
    public async Task<Import> ImportAsync(
        IReadOnlyDictionary<string, string> parameters, Stream report, string? contentEncoding = null, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address("findings/imports", parameters));
        request.Content = new StreamContent(new LeftOpen(report));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        if (contentEncoding is not null)
        {
            request.Content.Headers.ContentEncoding.Add(contentEncoding);
        }

        AddKey(request, idempotencyKey);
        return await SendAsync<Import>(request, cancellation);
    }

    /// <summary><c>GET /findings/imports/{id}</c> until it has succeeded, failed or been cancelled.</summary>
    public async Task<Import> WaitAsync(Import import, CancellationToken cancellation = default)
    {
        while (import.State is "queued" or "running")
        {
            await Task.Delay(BetweenLooks, _clock, cancellation);
            using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/imports/{import.Id:D}"));
            import = await SendAsync<Import>(request, cancellation);
        }

        return import;
    }

    /// <summary><c>POST /cvss</c>: one result per vector, in their order; what is no valid vector has its error there.</summary>
    /// <exception cref="VulnCenterException">413 when there are more than 200,000.</exception>
    public async Task<IReadOnlyList<ScoredVector>> ScoreAsync(IReadOnlyList<string> vectors, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address("cvss"));
        request.Content = JsonContent.Create(new ScoreVectors(vectors), options: Json);
        return (await SendAsync<ScoredVectors>(request, cancellation)).Results;
    }

    /// <summary><c>GET /findings/ssvc</c>.</summary>
    public async Task<SsvcTable> SsvcTableAsync(CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/ssvc"));
        return await SendAsync<SsvcTable>(request, cancellation);
    }

    private static Uri Address(string path, IReadOnlyDictionary<string, string>? query = null) => new(
        query is null or { Count: 0 }
            ? path
            : $"{path}?{string.Join('&', query.Select(parameter => $"{Uri.EscapeDataString(parameter.Key)}={Uri.EscapeDataString(parameter.Value)}"))}",
        UriKind.Relative);

    private static void AddKey(HttpRequestMessage request, string? idempotencyKey)
    {
        if (idempotencyKey is not null)
        {
            request.Headers.Add("Idempotency-Key", idempotencyKey);
        }
    }

    private async Task<T> SendAsync<T>(HttpRequestMessage request, CancellationToken cancellation)
    {
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (!answer.IsSuccessStatusCode)
        {
            throw await RefusalAsync(answer, cancellation);
        }

        return await answer.Content.ReadFromJsonAsync<T>(Json, cancellation) ?? throw new JsonException("The answer is null.");
    }

    private static async Task<VulnCenterException> RefusalAsync(HttpResponseMessage answer, CancellationToken cancellation)
    {
        if (answer.Content.Headers.ContentType?.MediaType != "application/problem+json")
        {
            return new VulnCenterException(answer.StatusCode, code: null, $"vuln-center answered {(int)answer.StatusCode}.");
        }

        var problem = await answer.Content.ReadFromJsonAsync<Problem>(Json, cancellation);
        return new VulnCenterException(answer.StatusCode, problem?.Code, problem?.Detail ?? problem?.Title ?? $"vuln-center answered {(int)answer.StatusCode}.");
    }

    // RFC 9457.
    private sealed record Problem(string? Title = null, string? Detail = null, string? Code = null);

    /// <summary>StreamContent closes what it is given; the caller's stream is the caller's to close.</summary>
    private sealed class LeftOpen(Stream inner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}

/// <summary>vuln-center refused a request.</summary>
/// <param name="status">4xx: the request will be refused again as it is; 429 and 5xx: try again later.</param>
/// <param name="code">Stable: <c>finding.invalid-transition</c>; null when the answer was no problem document.</param>
public sealed class VulnCenterException(HttpStatusCode status, string? code, string detail) : Exception(detail)
{
    public HttpStatusCode Status { get; } = status;

    public string? Code { get; } = code;
}
