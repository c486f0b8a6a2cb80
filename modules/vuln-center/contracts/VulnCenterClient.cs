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

    /// <summary><c>GET /findings/summary</c>, as JSON.</summary>
    /// <param name="service">Null for all services.</param>
    public async Task<FindingSummary> SummaryAsync(string? service = null, CancellationToken cancellation = default)
    {
        var parameters = service is null ? null : new Dictionary<string, string>(StringComparer.Ordinal) { ["service"] = service };
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/summary", parameters));
        return await SendAsync<FindingSummary>(request, cancellation);
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

    /// <summary><c>GET /findings/dedup-rules/{source}</c>; its entity tag is <see cref="DedupRules.Version"/>.</summary>
    public async Task<DedupRules> GetDedupRulesAsync(string source, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/dedup-rules/{Uri.EscapeDataString(source)}"));
        return await SendAsync<DedupRules>(request, cancellation);
    }

    /// <summary><c>PUT /findings/dedup-rules/{source}</c>.</summary>
    /// <param name="version">Of the rules that the change was decided on.</param>
    /// <exception cref="VulnCenterException">400 when the rules would hide or lose findings, 412 when they were changed meanwhile.</exception>
    public async Task<DedupRules> ChangeDedupRulesAsync(string source, int version, DedupRulesChange change, CancellationToken cancellation = default)
    {
        using var answer = await SendRulesAsync($"findings/dedup-rules/{Uri.EscapeDataString(source)}", version, change, cancellation);
        return await ReadAsync<DedupRules>(answer, cancellation);
    }

    /// <summary><c>PUT /findings/dedup-rules/{source}?dryRun=true</c>, and <c>GET /findings/dedup-rules/trials/{id}</c> until it has ended: changes nothing.</summary>
    /// <exception cref="VulnCenterException">412 when the rules were changed meanwhile, 409 when somebody cancelled it.</exception>
    public async Task<DedupPreview> TryDedupRulesAsync(string source, int version, DedupRulesChange change, CancellationToken cancellation = default)
    {
        using var answer = await SendRulesAsync($"findings/dedup-rules/{Uri.EscapeDataString(source)}?dryRun=true", version, change, cancellation);
        if (answer.StatusCode != HttpStatusCode.Accepted)
        {
            return await ReadAsync<DedupPreview>(answer, cancellation);
        }

        var trial = await ReadAsync<DedupTrial>(answer, cancellation);
        while (trial.State is "queued" or "running")
        {
            await Task.Delay(BetweenLooks, _clock, cancellation);
            using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/dedup-rules/trials/{trial.Id:D}"));
            trial = await SendAsync<DedupTrial>(request, cancellation);
        }

        return trial.Preview ?? throw new VulnCenterException(
            trial.State == "failed" ? HttpStatusCode.PreconditionFailed : HttpStatusCode.Conflict, code: null, trial.Problem ?? $"The dry run was {trial.State}.");
    }

    /// <summary><c>POST /findings/{id}/unmerge</c>.</summary>
    /// <param name="version">The finding's version that this was decided on.</param>
    /// <param name="idempotencyKey">The same one again gives the first answer again.</param>
    /// <exception cref="VulnCenterException">412 when the finding has moved on, 422 when nothing tells the observations from the others.</exception>
    public async Task<Unmerged> UnmergeAsync(Guid id, long version, UnmergeRequest split, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/unmerge"));
        request.Content = JsonContent.Create(split, options: Json);
        request.Headers.IfMatch.Add(new EntityTagHeaderValue(string.Create(CultureInfo.InvariantCulture, $"\"{version}\"")));
        AddKey(request, idempotencyKey);
        return await SendAsync<Unmerged>(request, cancellation);
    }

    /// <summary><c>GET /findings/overmerged</c>.</summary>
    /// <param name="filter">Query parameters by name: <c>service</c>, <c>source</c>, <c>limit</c>, <c>cursor</c>.</param>
    public async Task<OverMergePage> OverMergesAsync(IReadOnlyDictionary<string, string> filter, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/overmerged", filter));
        return await SendAsync<OverMergePage>(request, cancellation);
    }

    /// <summary><c>GET /findings/decisions</c>.</summary>
    /// <param name="filter">Query parameters by name: <c>finding</c>, <c>scan</c>, <c>outcome</c>, <c>from</c>, <c>limit</c>, <c>cursor</c> …</param>
    public async Task<DecisionPage> DecisionsAsync(IReadOnlyDictionary<string, string> filter, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/decisions", filter));
        return await SendAsync<DecisionPage>(request, cancellation);
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

    /// <summary><c>POST /findings/{id}/artifacts</c>: attaches a file. The same content again is not attached twice.</summary>
    /// <param name="content">Read once, not closed.</param>
    /// <param name="name">The file's name, without a path.</param>
    /// <param name="mediaType">One that is taken, and that the content is.</param>
    /// <exception cref="VulnCenterException">413 when it is too large, 415 when its type is not taken, 422 when the content is of another type; nothing of it is kept.</exception>
    public async Task<ArtifactList> AttachAsync(
        Guid id, Stream content, string name, string mediaType, string? note = null, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var parts = new MultipartFormDataContent();
        if (note is not null)
        {
            parts.Add(new StringContent(note), "note");
        }

        using var file = new StreamContent(new LeftOpen(content));
        file.Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        parts.Add(file, "file", name);
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/artifacts")) { Content = parts };
        AddKey(request, idempotencyKey);
        return await SendAsync<ArtifactList>(request, cancellation);
    }

    /// <summary><c>POST /findings/{id}/artifacts</c>: attaches what is kept elsewhere, by its digest.</summary>
    public async Task<ArtifactList> AttachAsync(Guid id, ArtifactReference reference, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/artifacts")) { Content = JsonContent.Create(reference, options: Json) };
        AddKey(request, idempotencyKey);
        return await SendAsync<ArtifactList>(request, cancellation);
    }

    /// <summary><c>GET /findings/{id}/artifacts</c>.</summary>
    public async Task<ArtifactList> ArtifactsAsync(Guid id, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/{id:D}/artifacts"));
        return await SendAsync<ArtifactList>(request, cancellation);
    }

    /// <summary><c>GET /findings/{id}/artifacts/{sha256}</c>: writes the content to <paramref name="destination"/>. The caller checks its digest.</summary>
    public async Task DownloadAsync(Guid id, string sha256, Stream destination, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/{id:D}/artifacts/{Uri.EscapeDataString(sha256)}"));
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (!answer.IsSuccessStatusCode)
        {
            throw await RefusalAsync(answer, cancellation);
        }

        await answer.Content.CopyToAsync(destination, cancellation);
    }

    /// <summary><c>DELETE /findings/{id}/artifacts/{sha256}</c>: its content goes with the last finding that refers to it.</summary>
    /// <param name="reason">1 to 2,000 characters, for the finding's history.</param>
    /// <exception cref="VulnCenterException">409 when the finding's history names it as evidence.</exception>
    public async Task<ArtifactList> RemoveArtifactAsync(Guid id, string sha256, string reason, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(
            HttpMethod.Delete, Address($"findings/{id:D}/artifacts/{Uri.EscapeDataString(sha256)}", new Dictionary<string, string>(StringComparer.Ordinal) { ["reason"] = reason }));
        return await SendAsync<ArtifactList>(request, cancellation);
    }

    /// <summary><c>POST /findings/{id}/tickets</c>: the ticket is requested, and open once integration-hub has answered.</summary>
    /// <exception cref="VulnCenterException">409 when one is under way at the connector.</exception>
    public async Task<Ticket> OpenTicketAsync(Guid id, TicketRequest ticket, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/tickets")) { Content = JsonContent.Create(ticket, options: Json) };
        AddKey(request, idempotencyKey);
        return await SendAsync<Ticket>(request, cancellation);
    }

    /// <summary><c>GET /findings/{id}/tickets</c>.</summary>
    public async Task<TicketList> TicketsAsync(Guid id, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/{id:D}/tickets"));
        return await SendAsync<TicketList>(request, cancellation);
    }

    /// <summary><c>POST /findings/{id}/tickets/{ticket}/refresh</c>: asks integration-hub for its state now.</summary>
    public async Task<Ticket> RefreshTicketAsync(Guid id, Guid ticket, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address($"findings/{id:D}/tickets/{ticket:D}/refresh"));
        return await SendAsync<Ticket>(request, cancellation);
    }

    /// <summary><c>GET /reports/safety-console</c>, of all services or of one.</summary>
    public Task<SafetyConsoleReport> SafetyConsoleReportAsync(string? service = null, CancellationToken cancellation = default) =>
        ReportAsync<SafetyConsoleReport>("safety-console", service, cancellation);

    /// <summary><c>GET /reports/control-plane</c>, of all services or of one.</summary>
    public Task<ControlPlaneReport> ControlPlaneReportAsync(string? service = null, CancellationToken cancellation = default) =>
        ReportAsync<ControlPlaneReport>("control-plane", service, cancellation);

    /// <summary><c>GET /reports/program-graph</c>, of all services or of one.</summary>
    public Task<ProgramGraphReport> ProgramGraphReportAsync(string? service = null, CancellationToken cancellation = default) =>
        ReportAsync<ProgramGraphReport>("program-graph", service, cancellation);

    private async Task<T> ReportAsync<T>(string name, string? service, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"reports/{name}", service is null ? null : new Dictionary<string, string> { ["service"] = service }));
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        return await SendAsync<T>(request, cancellation);
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

    private async Task<HttpResponseMessage> SendRulesAsync(string path, int version, DedupRulesChange change, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, Address(path));
        request.Content = JsonContent.Create(change, options: Json);
        request.Headers.IfMatch.Add(new EntityTagHeaderValue(string.Create(CultureInfo.InvariantCulture, $"\"{version}\"")));
        return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
    }

    private async Task<T> SendAsync<T>(HttpRequestMessage request, CancellationToken cancellation)
    {
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        return await ReadAsync<T>(answer, cancellation);
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage answer, CancellationToken cancellation)
    {
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
