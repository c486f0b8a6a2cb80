using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>The single writer of one finding. Key: <c>{tenant}/{id:D}</c>.</summary>
[GrainInterfaceType("vuln-center.finding"), Alias("vuln-center.finding")]
internal interface IFindingGrain : IGrainWithStringKey
{
    [Alias("change-status")]
    Task<FindingAnswer> ChangeStatus(ChangeFindingStatus request, CancellationToken cancellation);
}

/// <param name="CommandId">Repeating it gives the first answer again.</param>
/// <param name="ExpectedVersion">From <c>If-Match</c>; null where the caller does not mind (bulk, events).</param>
[GenerateSerializer, Immutable, Alias("vuln-center.change-finding-status")]
internal sealed record ChangeFindingStatus(
    [property: Id(0)] string Actor,
    [property: Id(1)] string CommandId,
    [property: Id(2)] long? ExpectedVersion,
    [property: Id(3)] FindingStatus Status,
    [property: Id(4)] string? Reason,
    [property: Id(5)] EvidenceReference? Evidence);

[GenerateSerializer, Immutable, Alias("vuln-center.evidence-reference")]
internal sealed record EvidenceReference([property: Id(0)] Guid? Scan, [property: Id(1)] string? Sha256, [property: Id(2)] string? Uri, [property: Id(3)] string? Note);

/// <param name="Version">The finding's version after the command; 0 when there is no such finding.</param>
/// <param name="RefusalCode">Null when the command was done.</param>
[GenerateSerializer, Immutable, Alias("vuln-center.finding-answer")]
internal sealed record FindingAnswer([property: Id(0)] long Version, [property: Id(1)] string? RefusalCode, [property: Id(2)] string? RefusalDetail)
{
    public static FindingAnswer Done(long version) => new(version, null, null);

    public static FindingAnswer Refused(string code, string detail, long version = 0) => new(version, code, detail);
}

[GrainType("vuln-center.finding")]
internal sealed class FindingGrain(FindingStore store, TimeProvider clock) : Grain, IFindingGrain
{
    private const int Attempts = 5;
    private FindingState? _finding;

    public override async Task OnActivateAsync(CancellationToken cancellationToken) => _finding = await LoadAsync(cancellationToken);

    public async Task<FindingAnswer> ChangeStatus(ChangeFindingStatus request, CancellationToken cancellation)
    {
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            if (_finding is not { } finding)
            {
                // Nothing is cached for an id that does not exist yet: an import may create it.
                _finding = await LoadAsync(cancellation);
                if (_finding is null)
                {
                    DeactivateOnIdle();
                    return FindingAnswer.Refused(ProblemCodes.NotFound.Code, "There is no such finding.");
                }

                continue;
            }

            var command = request.ToCommand(finding.Status, await ProofAsync(finding, request.Evidence, cancellation));
            var decision = FindingRules.Decide(finding, command, clock.GetUtcNow());
            var stale = request.ExpectedVersion is { } expected && expected != finding.Version;
            switch (decision)
            {
                case FindingDecision.Accepted accepted when !stale:
                    switch (await SaveAsync(finding, accepted, request, cancellation))
                    {
                        case SaveOutcome.Saved saved:
                            _finding = accepted.State with { AuditHash = saved.AuditHash };
                            return FindingAnswer.Done(accepted.State.Version);
                        case SaveOutcome.AlreadyDone done:
                            _finding = await LoadAsync(cancellation);
                            return store.ReadAnswer(done.Answer);
                    }

                    _finding = await LoadAsync(cancellation);
                    continue;

                // Refused by what we remember: an import may have moved the finding on, or this may be a repeat of a command that was done.
                default:
                    if (await store.FindAnswerAsync(finding, request.CommandId, cancellation) is { } answer)
                    {
                        return answer;
                    }

                    if (await LoadAsync(cancellation) is { } latest && latest.Version != finding.Version)
                    {
                        _finding = latest;
                        continue;
                    }

                    return stale
                        ? FindingAnswer.Refused(ProblemCodes.PreconditionFailed.Code, $"The finding is at version {finding.Version}.", finding.Version)
                        : decision is FindingDecision.Rejected rejected
                            ? FindingAnswer.Refused(rejected.Code, rejected.Detail, finding.Version)
                            : FindingAnswer.Done(finding.Version);
            }
        }

        return FindingAnswer.Refused(ProblemCodes.Overloaded.Code, "The finding is being changed by others; try again.");
    }

    private async Task<SaveOutcome> SaveAsync(FindingState finding, FindingDecision.Accepted accepted, ChangeFindingStatus request, CancellationToken cancellation)
    {
        try
        {
            return await store.SaveAsync(finding, accepted, request.Actor, request.CommandId, cancellation);
        }
        catch
        {
            // Whether it was committed is not known: forget what we hold; the repeat finds the answer or decides anew.
            _finding = null;
            DeactivateOnIdle();
            throw;
        }
    }

    private Task<EvidenceProof> ProofAsync(FindingState finding, EvidenceReference? evidence, CancellationToken cancellation) => evidence switch
    {
        { Scan: { } scan } => store.WeighScanAsync(finding, scan, cancellation),
        { Sha256: { } sha256 } => store.WeighArtifactAsync(finding, sha256, cancellation),
        { Uri: not null } => Task.FromResult(EvidenceProof.Link),
        _ => Task.FromResult(EvidenceProof.Note),
    };

    private Task<FindingState?> LoadAsync(CancellationToken cancellation)
    {
        var (tenant, id) = FindingKey.Parse(this.GetPrimaryKeyString());
        return store.LoadAsync(tenant, id, cancellation);
    }
}

/// <summary>Key of a finding's grain.</summary>
internal static class FindingKey
{
    public static string Of(string tenant, Guid id) => $"{tenant}/{id:D}";

    public static (string Tenant, Guid Id) Parse(string key)
    {
        var slash = key.LastIndexOf('/');
        return (key[..slash], Guid.ParseExact(key.AsSpan(slash + 1), "D"));
    }
}

internal static class StatusRequests
{
    /// <summary>What asking for a status means, given the one the finding is in.</summary>
    public static FindingCommand ToCommand(this ChangeFindingStatus request, FindingStatus current, EvidenceProof proof) => (request.Status, current) switch
    {
        (FindingStatus.Triaged, _) => new FindingCommand.Triage(request.Reason),
        (FindingStatus.Fixed, _) => new FindingCommand.ClaimFix(request.Reason ?? ""),
        (FindingStatus.Verified, _) => new FindingCommand.Verify(
            new Evidence(request.Evidence?.Scan, request.Evidence?.Sha256, request.Evidence?.Uri, request.Evidence?.Note), proof, request.Reason),
        (FindingStatus.Open, FindingStatus.Triaged) => new FindingCommand.WithdrawTriage(request.Reason ?? ""),
        (FindingStatus.Open, _) => new FindingCommand.ReportedAgain(request.Reason ?? ""),
        _ => throw new ArgumentOutOfRangeException(nameof(request)),
    };
}
