using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Numbers results that nothing but their position tells apart: the same rule on the same line of code twice in a file
/// is two problems. Counting in report order keeps line numbers out of identity.
/// </summary>
internal sealed class Occurrences
{
    readonly Dictionary<UInt128, int> _seen = [];

    public int Next(ObservationKind kind, string rule, string? path, Sha256Digest? content)
    {
        var canonical = Encoding.UTF8.GetBytes($"{kind}\0{rule}\0{path}\0{content}");
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(canonical, hash);
        ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_seen, MemoryMarshal.Read<UInt128>(hash), out _);
        return count++;
    }
}
