using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Numbers results that nothing but their position tells apart: the same rule on the same line of code twice in a file
/// is two problems, twice at the same position is one. Counting in report order keeps line numbers out of identity.
/// </summary>
internal sealed class Occurrences
{
    readonly Dictionary<UInt128, int> _counts = [];
    readonly Dictionary<UInt128, int> _numbers = [];

    /// <summary>The content is what identifies the result next to rule and path; the position only tells places apart.</summary>
    public int Next(string content, string rule, string? path, string position)
    {
        var group = $"{content}\0{rule}\0{path}";
        ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(_numbers, Hash($"{group}\0{position}"), out var isKnown);
        if (isKnown)
            return number;
        ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_counts, Hash(group), out _);
        return number = count++;
    }

    static UInt128 Hash(string text)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(text), hash);
        return MemoryMarshal.Read<UInt128>(hash);
    }
}
