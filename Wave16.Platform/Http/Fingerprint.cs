using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Wave16.Platform.Http;

/// <summary>What makes two requests the same: SHA-256 over method, path and query, each with its length before it, and the SHA-256 of the body.</summary>
internal static class Fingerprint
{
    public const int Length = SHA256.HashSizeInBytes;

    /// <param name="request">Its target.</param>
    /// <param name="body">SHA-256 of the body as it was sent.</param>
    public static byte[] Of(HttpRequest request, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        AppendField(hash, request.Method);
        AppendField(hash, request.PathBase + request.Path);
        AppendField(hash, request.QueryString.Value ?? "");
        hash.AppendData(body);
        return hash.GetHashAndReset();
    }

    /// <summary>Reads the body to its end, from memory up to 256 KiB and from a temporary file beyond, and rewinds it.</summary>
    public static async Task<byte[]> OfBodyAsync(HttpRequest request, CancellationToken cancellation)
    {
        request.EnableBuffering(bufferThreshold: 256 * 1024);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            int read;
            while ((read = await request.Body.ReadAsync(buffer, cancellation)) > 0)
            {
                hash.AppendData(buffer.AsSpan(0, read));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        request.Body.Position = 0;
        return hash.GetHashAndReset();
    }

    public static void AppendField(IncrementalHash hash, string text)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(length, Encoding.UTF8.GetByteCount(text));
        hash.AppendData(length);
        hash.AppendData(Encoding.UTF8.GetBytes(text));
    }
}
