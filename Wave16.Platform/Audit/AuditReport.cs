namespace Wave16.Platform.Audit;

/// <summary>What verifying a module's audit log found. The whole log is read; only leaves of the caller's tenant are named.</summary>
/// <param name="Module">Whose log.</param>
/// <param name="Intact">Nothing is wrong, with any tenant's leaves.</param>
/// <param name="TreeSize">Entries in the log.</param>
/// <param name="RootHash">RFC 6962 root recomputed from them, lower-case hexadecimal.</param>
/// <param name="Checkpoint">The latest signed head as a C2SP checkpoint; null while nothing has been sealed.</param>
/// <param name="LeavesChecked">Leaves whose content was hashed again, the unsealed tail included.</param>
/// <param name="HeadsChecked">Signed heads whose root and signature were checked.</param>
/// <param name="Unsealed">Leaves that wait for the sealer.</param>
/// <param name="ProblemCount">All problems found.</param>
/// <param name="Problems">The first 1,000 of them.</param>
public sealed record AuditReport(
    string Module, bool Intact, long TreeSize, string RootHash, string? Checkpoint, long LeavesChecked, long HeadsChecked,
    UnsealedLeaves Unsealed, long ProblemCount, IReadOnlyList<AuditProblem> Problems);

/// <param name="Count">Leaves that are committed and not in the log yet.</param>
/// <param name="OldestAt">When the oldest of them was written; null without any.</param>
/// <param name="AgeSeconds">How long ago that is.</param>
public sealed record UnsealedLeaves(long Count, DateTimeOffset? OldestAt, double AgeSeconds);

/// <summary>One thing that is wrong.</summary>
/// <param name="Kind">What.</param>
/// <param name="Seq">Place in the log, from 0.</param>
/// <param name="LeafId">The leaf's id, as in the list of leaves.</param>
/// <param name="Entity">Of the leaf; null when it is of another tenant, or gone.</param>
/// <param name="Detail">A sentence.</param>
public sealed record AuditProblem(AuditProblemKind Kind, long? Seq, long? LeafId, string? Entity, string Detail);

public enum AuditProblemKind
{
    /// <summary>The leaf's content does not hash to the leaf's hash.</summary>
    ContentChanged,

    /// <summary>A column that is searched says something else than the content.</summary>
    ColumnChanged,

    /// <summary>The leaf's hash is not the one that was taken into the log.</summary>
    HashChanged,

    /// <summary>The log has an entry for a leaf that is gone.</summary>
    LeafMissing,

    /// <summary>The log lacks entries.</summary>
    EntryMissing,

    /// <summary>The log has entries that no head was signed for.</summary>
    EntryUnsigned,

    /// <summary>A leaf lies before the sealer's position and is not in the log.</summary>
    LeafNotInLog,

    /// <summary>A leaf stands after one that was committed later.</summary>
    OutOfOrder,

    /// <summary>The leaf does not name the entity's previous leaf, nor one that covers it.</summary>
    ChainBroken,

    /// <summary>Two leaves tell of the same version of an entity.</summary>
    ChainForked,

    /// <summary>The entries do not hash to the root of a signed head.</summary>
    RootMismatch,

    /// <summary>A head's signature does not fit its content.</summary>
    SignatureInvalid,

    /// <summary>A head is signed with a key that is not configured.</summary>
    KeyUnknown,

    /// <summary>The log has no signed head for its size.</summary>
    HeadMissing,

    /// <summary>A stored subtree hash is not that of its entries: proofs would be wrong.</summary>
    SubtreeChanged,

    /// <summary>The sealer's own position does not fit the log.</summary>
    SealerStateChanged,
}
