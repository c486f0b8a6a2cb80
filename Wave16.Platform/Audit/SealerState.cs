namespace Wave16.Platform.Audit;

/// <summary>The row <c>platform.audit_sealer</c>: the last leaf the sealer took, and the tree up to it.</summary>
internal sealed record SealerState(int Epoch, ulong Xid, long LeafId, long TreeSize, byte[][] Frontier);

/// <summary>A committed leaf that waits for its place in the log.</summary>
/// <param name="Tenant">Null, as is <paramref name="Canonical"/>, when nothing is forwarded.</param>
internal sealed record PendingLeaf(int Epoch, ulong Xid, long Id, byte[] Hash, string? Tenant, string? Canonical);

/// <summary>An append to the log, as one statement writes it.</summary>
internal sealed record LogAppend
{
    public required SealerState Before { get; init; }

    public required SealerState After { get; init; }

    public required IReadOnlyList<PendingLeaf> Leaves { get; init; }

    public required IReadOnlyList<(Subtree Subtree, byte[] Hash)> Nodes { get; init; }

    public required Checkpoint Head { get; init; }

    /// <summary>The epoch that the head's origin names: that of the store now, also while leaves of an earlier one are sealed.</summary>
    public required int HeadEpoch { get; init; }

    public required string KeyId { get; init; }

    public required byte[] Signature { get; init; }

    public required IReadOnlyList<SealedEvent> Events { get; init; }
}

/// <summary>An outbox row that tells the audit trail of sealed leaves of one tenant.</summary>
internal sealed record SealedEvent(string EventId, string Tenant, string Data);
