using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
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
    /// <exception cref="SpoolRefusedException">Too large, a compression bomb, an unknown encoding, or compressed data that are damaged or not whole.</exception>
    public static async Task<ReportSpool> ReceiveAsync(Stream body, string? encoding, string directory, SpoolLimits limits, CancellationToken cancellation)
    {
        var counted = new CountingStream(body);
        encoding = string.IsNullOrWhiteSpace(encoding) ? await EncodingOfAsync(counted, cancellation) : encoding;
        await using var decoded = Decode(counted, encoding);
        var file = SpoolFile.Create(directory, "report");
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var checksum = new Crc32();
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
                checksum.Append(buffer.AsSpan(0, read));
                await file.WriteAsync(buffer.AsMemory(0, read), cancellation);
            }

            if (decoded is GZipStream)
            {
                await CheckWholeAsync(counted, file, checksum.GetCurrentHashAsUInt32(), cancellation);
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
        catch (EndOfStreamException)
        {
            throw Unreadable($"The {encoding} data end before their end: the body was cut off.");
        }
        catch (InvalidDataException)
        {
            // The framework has one text for a wrong checksum and for all else, and it is of methods.
            throw Unreadable($"The {encoding} data are damaged: they break off the format, or their checksum does not fit.");
        }
        catch (ZstdException damaged)
        {
            throw Unreadable($"The {encoding} data are damaged, or something follows them: {damaged.Message}.");
        }
    }

    /// <summary>
    /// GZipStream takes the end of its input for the end of the data, and leaves alone what is no further member: rows or lines that
    /// were cut off would pass for a whole report. So the body must end as a member does, with the CRC-32 and the length of what the
    /// member holds (RFC 1952 section 2.3.1), and what came out last must be that. zstd's frames are checked by its decoder.
    /// </summary>
    /// <param name="file">What came out.</param>
    /// <param name="checksum">Of all of it.</param>
    private static async Task CheckWholeAsync(CountingStream body, FileStream file, uint checksum, CancellationToken cancellation)
    {
        if (await body.ReadAsync(new byte[1], cancellation) > 0)
        {
            throw Unreadable("The gzip data are followed by something else.");
        }

        var (expected, length) = (BinaryPrimitives.ReadUInt32LittleEndian(body.Tail.Span[^8..]), BinaryPrimitives.ReadUInt32LittleEndian(body.Tail.Span[^4..]));
        if (length == (uint)file.Length ? expected != checksum : length > file.Length || expected != await ChecksumOfLastAsync(file, length, cancellation))
        {
            throw Unreadable("The gzip data do not end with the checksum and the length of what they hold: the body was cut off, or something follows them.");
        }

        // Of nothing both are zero, and so are bytes that a full disk never got. A member that holds nothing is one empty block, of fixed codes or stored (RFC 1951 section 3.2.3).
        var before = body.Tail.Span[..^8];
        if (length == 0 && !before.EndsWith((ReadOnlySpan<byte>)[0x03, 0x00]) && !before.EndsWith((ReadOnlySpan<byte>)[0x01, 0x00, 0x00, 0xff, 0xff]))
        {
            throw Unreadable("The gzip data end in zeros: the body was cut off, or something follows them.");
        }
    }

    private static async Task<uint> ChecksumOfLastAsync(FileStream file, uint length, CancellationToken cancellation)
    {
        file.Position = file.Length - length;
        var checksum = new Crc32();
        await checksum.AppendAsync(file, cancellation);
        return checksum.GetCurrentHashAsUInt32();
    }

    private static SpoolRefusedException Unreadable(string detail) => new(Findings.FindingProblems.ReportUnreadable, detail);

    /// <summary>Counts what the client sent, to tell a bomb from a large report, and keeps its end.</summary>
    private sealed class CountingStream(Stream inner) : Stream
    {
        private readonly byte[] _head = new byte[4];
        private readonly byte[] _tail = new byte[13];
        private int _peeked;
        private int _given;

        public long Count { get; private set; }

        /// <summary>The last thirteen bytes; of a shorter body after zeros.</summary>
        public ReadOnlyMemory<byte> Tail => _tail;

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
            Passed(buffer.Span[..read]);
            return read;
        }

        /// <summary>The first four bytes, or all there are; they are read again.</summary>
        public async ValueTask<byte[]> PeekAsync(CancellationToken cancellation)
        {
            _peeked = await inner.ReadAtLeastAsync(_head, _head.Length, throwOnEndOfStream: false, cancellation);
            Passed(_head.AsSpan(0, _peeked));
            return _head[.._peeked];
        }

        private void Passed(ReadOnlySpan<byte> bytes)
        {
            Count += bytes.Length;
            var last = bytes[Math.Max(0, bytes.Length - _tail.Length)..];
            _tail.AsSpan(last.Length).CopyTo(_tail);
            last.CopyTo(_tail.AsSpan(_tail.Length - last.Length));
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
