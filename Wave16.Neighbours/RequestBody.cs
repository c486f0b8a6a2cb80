using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http.Features;

namespace Wave16.Neighbours;

/// <summary>A request's body, read whole before anything is decided about the call.</summary>
/// <param name="Bytes">What was read; no more than the limit.</param>
/// <param name="Length">As sent, or as far as it was read.</param>
/// <param name="Refusal">The answer to a body that could not be read whole.</param>
internal sealed record RequestBody(ReadOnlyMemory<byte> Bytes, long Length, IResult? Refusal)
{
    const int ExcerptBytes = 64 << 10;

    public static readonly RequestBody Unread = new(ReadOnlyMemory<byte>.Empty, 0, Refusal: null);

    /// <summary>What the intake read of this call.</summary>
    public static RequestBody Of(HttpContext context) => context.Features.GetRequiredFeature<RequestBody>();

    public static async Task<RequestBody> ReadAsync(HttpRequest request, int maxBytes, CancellationToken cancellationToken)
    {
        // The limit is the neighbour's own and answered as its contract says; the server's is lifted.
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } serverLimit)
            serverLimit.MaxRequestBodySize = null;

        var whole = new ArrayBufferWriter<byte>(ExcerptBytes);
        var chunk = ArrayPool<byte>.Shared.Rent(ExcerptBytes);
        try
        {
            while (await request.Body.ReadAsync(chunk, cancellationToken) is var count and > 0)
            {
                var room = maxBytes - whole.WrittenCount;
                whole.Write(chunk.AsSpan(0, Math.Min(count, room)));
                if (count > room)
                    return new(whole.WrittenMemory, request.ContentLength ?? whole.WrittenCount + (count - room), TooLarge(maxBytes));
            }
            return new(whole.WrittenMemory, whole.WrittenCount, Refusal: null);
        }
        catch (BadHttpRequestException broken)
        {
            return new(whole.WrittenMemory, whole.WrittenCount, Problems.Of(broken.StatusCode, "body.unreadable", broken.Message));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    /// <summary>The beginning of the body as it is shown to readers, cut between characters.</summary>
    public (string Text, string Encoding, bool Truncated) Excerpt()
    {
        var bytes = Bytes.Span;
        var cut = Math.Min(bytes.Length, ExcerptBytes);
        while (cut < bytes.Length && cut > 0 && (bytes[cut] & 0xC0) == 0x80)
            cut--;
        if (Utf8.IsValid(bytes[..cut]))
            return (Encoding.UTF8.GetString(bytes[..cut]), "utf-8", cut < Length);

        cut = Math.Min(bytes.Length, ExcerptBytes);
        return (Convert.ToBase64String(bytes[..cut]), "base64", cut < Length);
    }

    static IResult TooLarge(int maxBytes) =>
        Problems.Of(StatusCodes.Status413PayloadTooLarge, "body.too-large", $"The body may have {maxBytes:N0} bytes.");
}
