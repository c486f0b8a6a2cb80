using System.Buffers;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>An error in a document, by offset or by line; <see cref="LocateAsync"/> finds the one that is missing.</summary>
internal sealed record ScanFault(string Code, string Detail, string Pointer)
{
    public long Offset { get; init; }

    /// <summary>0-based; when null the offset counts.</summary>
    public long? Line { get; init; }
    public long BytesInLine { get; init; }

    public async Task<ReportFormatException> LocateAsync(Stream report, CancellationToken cancellationToken)
    {
        var block = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            long line = 0, lineStart = await SkipByteOrderMarkAsync(report, block, cancellationToken), position = lineStart;
            report.Position = position;
            while (Line is not { } wanted || line < wanted)
            {
                var length = await report.ReadAsync(block, cancellationToken);
                if (length == 0)
                    break;
                for (var i = 0; i < length && !Reached(line, position + i); i++)
                {
                    if (block[i] == '\n')
                        (line, lineStart) = (line + 1, position + i + 1);
                }
                position += length;
                if (Reached(line, position))
                    break;
            }
            var offset = Line is null ? Offset : lineStart + BytesInLine;
            return new ReportFormatException(Code, Detail, offset, line + 1, Math.Max(0, offset - lineStart) + 1, Pointer);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    bool Reached(long line, long position) => Line is { } wanted ? line >= wanted : position >= Offset;

    static async Task<int> SkipByteOrderMarkAsync(Stream report, byte[] block, CancellationToken cancellationToken)
    {
        report.Position = 0;
        var head = await report.ReadAtLeastAsync(block.AsMemory(0, 3), 3, throwOnEndOfStream: false, cancellationToken);
        return head == 3 && block.AsSpan(0, 3).SequenceEqual(System.Text.Encoding.UTF8.Preamble) ? 3 : 0;
    }
}
