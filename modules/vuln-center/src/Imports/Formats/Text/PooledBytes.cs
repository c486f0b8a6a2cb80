using System.Buffers;

namespace Wave16.VulnCenter.Imports.Formats.Text;

/// <summary>Buffers of the shared pool that grow.</summary>
internal static class PooledBytes
{
    /// <summary>A buffer of twice the size with the same content; the one given goes back to the pool.</summary>
    public static byte[] Doubled(byte[] buffer)
    {
        var larger = ArrayPool<byte>.Shared.Rent(buffer.Length * 2);
        buffer.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(buffer);
        return larger;
    }
}
