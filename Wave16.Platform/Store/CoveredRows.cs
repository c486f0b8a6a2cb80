using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.Platform.Store;

/// <summary>An entity that a set-based write changed: its id, the version it has now, and its state in any stable text form.</summary>
public sealed record CoveredRow(string Id, long Version, string State);

/// <summary>What a covering leaf says of the entities it stands for.</summary>
public static class CoveredRows
{
    /// <summary>
    /// Lower-case hexadecimal SHA-256 over the rows in ordinal order of their ids, each as three netstrings
    /// (<c>length in bytes:UTF-8,</c>): id, version, state.
    /// </summary>
    public static string Digest(IEnumerable<CoveredRow> rows)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var row in rows.OrderBy(row => row.Id, StringComparer.Ordinal))
        {
            Netstring(row.Id);
            Netstring(row.Version.ToString(CultureInfo.InvariantCulture));
            Netstring(row.State);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Netstring(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{bytes.Length}:")));
            hash.AppendData(bytes);
            hash.AppendData(","u8);
        }
    }
}
