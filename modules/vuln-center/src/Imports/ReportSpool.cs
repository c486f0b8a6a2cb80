using System.IO.Compression;
using System.Security.Cryptography;
using ZstdSharp;

namespace Wave16.VulnCenter.Imports;

/// <summary>Bounds on what one request may bring, in bytes of the decompressed report.</summary>
/// <param name="MaxBytes">Largest report.</param>
/// <param name="MaxRatio">Decompressed to compressed, once more than <see cref="RatioFrom"/> bytes came out.</param>
internal sealed record SpoolLimits(long MaxBytes = 1L << 30, int MaxRatio = 200)
{
    public const long RatioFrom = 16 << 20;
}

/// <summary>A received report, decompressed, in a temporary file that vanishes when it is closed: slow clients hold no transaction.</summary>
internal sealed class ReportSpool : IAsyncDisposable
{
    private ReportSpool(FileStream content, byte[] digest)
    {
        Content = content;
        Digest = digest;
    }

    /// <summary>Seekable, positioned at its start.</summary>
    public FileStream Content { get; }

    /// <summary>SHA-256 of the decompressed report.</summary>
    public byte[] Digest { get; }

    /// <param name="body">The request's body.</param>
    /// <param name="encoding"><c>Content-Encoding</c>: gzip, zstd, or none: then a file that was compressed before is seen by how it begins.</param>
    /// <exception cref="SpoolRefusedException">Too large, a compression bomb, an unknown encoding, or damaged compressed data.</exception>
    public static async Task<ReportSpool> ReceiveAsync(Stream body, string? encoding, string directory, SpoolLimits limits, CancellationToken cancellation)
    {
        var counted = new CountingStream(body);
        encoding = string.IsNullOrWhiteSpace(encoding) ? await EncodingOfAsync(counted, cancellation) : encoding;
        await using var decoded = Decode(counted, encoding);
        var file = SpoolFile.Create(directory, "report");
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[128 << 10];
            long written = 0;
            int read;
            while ((read = await ReadAsync(decoded, buffer, encoding, cancellation)) > 0)
            {
                written += read;
                if (written > limits.MaxBytes)
                {
                    throw new SpoolRefusedException(Findings.FindingProblems.ReportTooLarge, $"The report is larger than {limits.MaxBytes} bytes.");
                }

                if (written > SpoolLimits.RatioFrom && written / Math.Max(1, counted.Count) > limits.MaxRatio)
                {
                    throw new SpoolRefusedException(Findings.FindingProblems.ReportTooLarge, $"The report expands more than {limits.MaxRatio} times.");
                }

                hash.AppendData(buffer, 0, read);
                await file.WriteAsync(buffer.AsMemory(0, read), cancellation);
            }

            file.Position = 0;
            return new ReportSpool(file, hash.GetHashAndReset());
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    public ValueTask DisposeAsync() => Content.DisposeAsync();

    // RFC 1952 section 2.3.1, RFC 8878 section 3.1.1. No report in JSON, XML or CSV begins so.
    private static async ValueTask<string?> EncodingOfAsync(CountingStream body, CancellationToken cancellation) => await body.PeekAsync(cancellation) switch
    {
        [0x1f, 0x8b, 0x08, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
        _ => null,
    };

    private static Stream Decode(Stream body, string? encoding) => encoding?.Trim().ToLowerInvariant() switch
    {
        null or "" or "identity" => body,
        "gzip" or "x-gzip" => new GZipStream(body, CompressionMode.Decompress, leaveOpen: true),
        "zstd" => new DecompressionStream(body, leaveOpen: true),
        _ => throw new SpoolRefusedException(Findings.FindingProblems.UnsupportedEncoding, $"Content-Encoding '{encoding}' is not one of gzip, zstd."),
    };

    private static async ValueTask<int> ReadAsync(Stream decoded, byte[] buffer, string? encoding, CancellationToken cancellation)
    {
        try
        {
            return await decoded.ReadAsync(buffer, cancellation);
        }
        catch (Exception damaged) when (damaged is InvalidDataException or ZstdException or EndOfStreamException)
        {
            throw new SpoolRefusedException(Findings.FindingProblems.ReportUnreadable, $"The {encoding} data are damaged: {damaged.Message}");
        }
    }

    /// <summary>Counts what the client sent, to tell a bomb from a large report.</summary>
    private sealed class CountingStream(Stream inner) : Stream
    {
        private readonly byte[] _head = new byte[4];
        private int _peeked;
        private int _given;

        public long Count { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => Count; set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_given < _peeked)
            {
                var again = Math.Min(buffer.Length, _peeked - _given);
                _head.AsMemory(_given, again).CopyTo(buffer);
                _given += again;
                return again;
            }

            var read = await inner.ReadAsync(buffer, cancellationToken);
            Count += read;
            return read;
        }

        /// <summary>The first four bytes, or all there are; they are read again.</summary>
        public async ValueTask<byte[]> PeekAsync(CancellationToken cancellation)
        {
            _peeked = await inner.ReadAtLeastAsync(_head, _head.Length, throwOnEndOfStream: false, cancellation);
            Count += _peeked;
            return _head[.._peeked];
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Requests are read asynchronously.");

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}

/// <summary>The report was not taken; nothing is kept of it.</summary>
internal sealed class SpoolRefusedException(string code, string detail) : Exception(detail)
{
    public string Code { get; } = code;
}
