using System.Security.Cryptography;
using Npgsql;

namespace Wave16.Platform.Audit;

/// <summary>A row of <c>platform.audit_head</c>.</summary>
internal sealed record HeadRow(long TreeSize, int Epoch, byte[] Root, DateTimeOffset SignedAt, string KeyId, byte[] Signature)
{
    /// <summary>Order of the columns that <see cref="Read"/> takes.</summary>
    public const string Columns = "tree_size, epoch, root_hash, signed_at, key_id, signature";

    public static HeadRow Read(NpgsqlDataReader reader) => new(
        reader.GetInt64(0), reader.GetInt32(1), reader.GetFieldValue<byte[]>(2), reader.GetFieldValue<DateTimeOffset>(3), reader.GetString(4), reader.GetFieldValue<byte[]>(5));

    public Checkpoint Checkpoint(string module, string epochToken) => new(Audit.Checkpoint.OriginOf(module, epochToken), TreeSize, Root, SignedAt);
}

/// <summary>The checks of signed heads: the entries' root against each, and each one's signature.</summary>
internal sealed class HeadChecks(string module, AuditKeys keys, IReadOnlyDictionary<int, string> epochTokens, AuditFindings findings) : IDisposable
{
    private readonly Dictionary<string, ECDsa?> _verifiers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _unknown = new(StringComparer.Ordinal);
    private long _goodUpTo;
    private bool _mismatched;

    public long Checked { get; private set; }

    /// <summary>Of those seen, the one of the most leaves.</summary>
    public HeadRow? Last { get; private set; }

    /// <param name="head">In ascending order of size, among those with a root.</param>
    /// <param name="root">Recomputed from the entries; null when they are not all there.</param>
    public void Check(HeadRow head, byte[]? root)
    {
        Checked++;
        Last = Last is { } last && last.TreeSize > head.TreeSize ? last : head;
        CheckSignature(head);
        if (root is null || _mismatched)
        {
            return;
        }

        if (root.AsSpan().SequenceEqual(head.Root))
        {
            _goodUpTo = head.TreeSize;
            return;
        }

        // Every later root contains the same change; only the first can tell where it is.
        _mismatched = true;
        findings.Add(
            AuditProblemKind.RootMismatch, $"Entries {_goodUpTo} to {head.TreeSize - 1} do not hash to the root that was signed for {head.TreeSize} leaves.", _goodUpTo);
    }

    private void CheckSignature(HeadRow head)
    {
        if (!_verifiers.TryGetValue(head.KeyId, out var verifier))
        {
            keys.TryCreateVerifier(head.KeyId, out verifier);
            _verifiers.Add(head.KeyId, verifier);
        }

        if (verifier is null)
        {
            if (_unknown.Add(head.KeyId))
            {
                findings.Add(AuditProblemKind.KeyUnknown, $"The head of {head.TreeSize} leaves, and perhaps others, is signed with key {head.KeyId}, which is neither Audit:SigningKey nor among Audit:PreviousKeys.");
            }
        }
        else if (!epochTokens.TryGetValue(head.Epoch, out var token) || !AuditKeys.Verify(verifier, head.Checkpoint(module, token).SignedBytes, head.Signature))
        {
            findings.Add(AuditProblemKind.SignatureInvalid, $"The head of {head.TreeSize} leaves does not carry a signature of its key over its content.");
        }
    }

    public void Dispose()
    {
        foreach (var verifier in _verifiers.Values)
        {
            verifier?.Dispose();
        }
    }
}
