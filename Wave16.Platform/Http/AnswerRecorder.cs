using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Wave16.Platform.Http;

/// <summary>
/// Holds back what an endpoint writes until it is stored. An answer that outgrows <see cref="Limit"/> is let through as it comes
/// and is not stored: a repetition runs the handler again, whose save finds the command done.
/// </summary>
internal sealed class AnswerRecorder : Stream
{
    public const int Limit = 256 * 1024;

    // What the framework sets anew for every answer (Date, Server, Content-Length, tracing) is not part of it.
    private static readonly string[] KeptHeaders =
        ["Content-Type", "Content-Language", "Location", "ETag", "Last-Modified", "Link", "Cache-Control", "Retry-After", "Deprecation", "Sunset"];

    private readonly HttpContext _context;
    private readonly IHttpResponseBodyFeature _real;
    private readonly MemoryStream _held = new();

    private AnswerRecorder(HttpContext context, IHttpResponseBodyFeature real)
    {
        _context = context;
        _real = real;
    }

    public bool Overflowed { get; private set; }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <returns>The recorder, with the whole answer in it unless it overflowed.</returns>
    public static async Task<AnswerRecorder> RecordAsync(HttpContext context, RequestDelegate answer)
    {
        var real = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        var recorder = new AnswerRecorder(context, real);
        var recording = new StreamResponseBodyFeature(recorder, real);
        context.Features.Set<IHttpResponseBodyFeature>(recording);
        try
        {
            await answer(context);
            await recording.CompleteAsync();
            return recorder;
        }
        finally
        {
            context.Features.Set(real);
        }
    }

    public StoredAnswer ToStored()
    {
        var headers = new Dictionary<string, string[]>(StringComparer.OrdinalIgnoreCase);
        foreach (var name in KeptHeaders)
        {
            if (_context.Response.Headers.TryGetValue(name, out var values))
            {
                headers[name] = [.. values.Where(value => value is not null).Select(value => value ?? "")];
            }
        }

        return new StoredAnswer(_context.Response.StatusCode, headers, _held.ToArray());
    }

    /// <summary>Sends what was held back.</summary>
    public async Task SendAsync(CancellationToken cancellation)
    {
        if (_held.Length > 0)
        {
            _context.Response.ContentLength ??= _held.Length;
            await _real.Stream.WriteAsync(_held.GetBuffer().AsMemory(0, (int)_held.Length), cancellation);
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!Overflowed && _held.Length + buffer.Length <= Limit)
        {
            _held.Write(buffer.Span);
            return;
        }

        if (!Overflowed)
        {
            Overflowed = true;
            await _real.Stream.WriteAsync(_held.GetBuffer().AsMemory(0, (int)_held.Length), cancellationToken);
            _held.SetLength(0);
        }

        await _real.Stream.WriteAsync(buffer, cancellationToken);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) =>
        Overflowed ? _real.Stream.FlushAsync(cancellationToken) : Task.CompletedTask;

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("Write asynchronously.");

    public override void Flush() => throw new NotSupportedException("Flush asynchronously.");

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
