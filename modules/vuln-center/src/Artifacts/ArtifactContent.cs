using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>
/// An artifact's content as a stream that can be read from anywhere. It holds one piece, and no connection between two of them: a
/// slow reader keeps nobody waiting.
/// </summary>
internal sealed class ArtifactContent(ModuleDatabase database, string tenant, byte[] sha256, long size) : Stream
{
    /// <summary>Bytes of every piece but the last.</summary>
    public const int ChunkBytes = 256 << 10;

    private byte[] _chunk = [];
    private long _held = -1;
    private long _position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => size;

    public override long Position
    {
        get => _position;
        set => _position = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(value));
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_position >= size || buffer.IsEmpty)
        {
            return 0;
        }

        var ordinal = _position / ChunkBytes;
        if (ordinal != _held)
        {
            (_chunk, _held) = (await LoadAsync((int)ordinal, cancellationToken), ordinal);
        }

        var rest = _chunk.AsMemory((int)(_position % ChunkBytes));
        var count = Math.Min(rest.Length, buffer.Length);
        rest[..count].CopyTo(buffer);
        _position += count;
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => _position + offset,
        _ => size + offset,
    };

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Read asynchronously.");

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private async Task<byte[]> LoadAsync(int ordinal, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select content from vuln_center.artifact_chunk where tenant = $1 and sha256 = $2 and ordinal = $3");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = sha256 });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = ordinal });
        var chunk = (byte[]?)await command.ExecuteScalarAsync(cancellation);
        var expected = Math.Min(ChunkBytes, size - ((long)ordinal * ChunkBytes));
        return chunk?.Length == expected ? chunk : throw new InvalidDataException($"Piece {ordinal} of artifact {Convert.ToHexStringLower(sha256)} is not as it was stored.");
    }
}
