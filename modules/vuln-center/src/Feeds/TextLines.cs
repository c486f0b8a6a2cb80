using System.Buffers;
using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Lines of a file as bytes, without their ends, in memory bounded by the longest one.</summary>
internal static class TextLines
{
    /// <param name="text">Read from where it stands.</param>
    /// <param name="longest">Bytes; a longer line is refused.</param>
    /// <exception cref="FeedException">A line is over the limit.</exception>
    public static async IAsyncEnumerable<(long Line, ReadOnlyMemory<byte> Bytes)> ReadAsync(
        Stream text, int longest, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(128 << 10);
        try
        {
            var (filled, line) = (0, 1L);
            while (true)
            {
                var read = await text.ReadAsync(buffer.AsMemory(filled), cancellation);
                filled += read;
                var start = 0;
                while (buffer.AsSpan(start, filled - start).IndexOf((byte)'\n') is var end and >= 0)
                {
                    yield return (line++, buffer.AsMemory(start, end));
                    start += end + 1;
                }

                if (read == 0)
                {
                    if (filled > start)
                    {
                        yield return (line, buffer.AsMemory(start, filled - start));
                    }

                    yield break;
                }

                buffer.AsSpan(start, filled - start).CopyTo(buffer);
                filled -= start;
                if (filled > longest)
                {
                    throw FeedException.AtLine(line, $"is longer than {longest} bytes");
                }

                if (filled == buffer.Length)
                {
                    buffer = PooledBytes.Doubled(buffer);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
