namespace Wave16.Platform.Audit;

/// <summary>Collects what a verification finds, for one reader.</summary>
/// <param name="tenant">Whose leaves may be named.</param>
internal sealed class AuditFindings(string tenant)
{
    private const int Shown = 1000;
    private readonly List<AuditProblem> _problems = [];

    public long Count { get; private set; }

    public IReadOnlyList<AuditProblem> Problems => _problems;

    public void Add(AuditProblemKind kind, string detail, long? seq = null) => Add(new AuditProblem(kind, seq, LeafId: null, Entity: null, detail));

    public void Add(AuditProblemKind kind, LeafRow leaf, string detail) => Add(leaf.Tenant == tenant
        ? new AuditProblem(kind, leaf.Seq, leaf.Id, leaf.Entity, detail)
        : new AuditProblem(kind, leaf.Seq, leaf.Id, Entity: null, "A leaf of another tenant."));

    public void Add(AuditProblem problem)
    {
        Count++;
        if (_problems.Count < Shown)
        {
            _problems.Add(problem);
        }
    }
}

/// <summary>A leaf as it is stored, with what the checks compare it to.</summary>
internal sealed record LeafRow
{
    /// <summary>Null for a leaf that is not in the log.</summary>
    public required long? Seq { get; init; }

    public required int Epoch { get; init; }

    public required ulong Xid { get; init; }

    public required long Id { get; init; }

    public required string Tenant { get; init; }

    public required string Entity { get; init; }

    public required long Version { get; init; }

    public required DateTimeOffset At { get; init; }

    public required string Actor { get; init; }

    public required string Action { get; init; }

    public required string? Covers { get; init; }

    public required string Canonical { get; init; }

    public required byte[] Hash { get; init; }

    /// <summary>Hash of the leaf of the entity's next older version; null when there is none.</summary>
    public required byte[]? Previous { get; init; }

    /// <summary>Another leaf has the same entity and version.</summary>
    public required bool IsForked { get; init; }
}
