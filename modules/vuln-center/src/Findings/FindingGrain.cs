using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Findings;

/// <summary>The single writer of one finding. Key: <c>{tenant}/{id:D}</c>.</summary>
[GrainInterfaceType("vuln-center.finding"), Alias("vuln-center.finding")]
internal interface IFindingGrain : IGrainWithStringKey
{
    [Alias("change-status")]
    Task<FindingAnswer> ChangeStatus(ChangeFindingStatus request, CancellationToken cancellation);

    [Alias("suppress")]
    Task<FindingAnswer> Suppress(SuppressFinding request, CancellationToken cancellation);

    [Alias("override-severity")]
    Task<FindingAnswer> OverrideSeverity(OverrideFindingSeverity request, CancellationToken cancellation);

    [Alias("assign")]
    Task<FindingAnswer> Assign(AssignFinding request, CancellationToken cancellation);

    /// <summary>A moment it waits for may have come. Returns when it has been dealt with.</summary>
    [Alias("come-due")]
    Task ComeDue(CancellationToken cancellation);
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

/// <param name="Kind">Null: lifts the suppression.</param>
/// <param name="Until">With a kind.</param>
[GenerateSerializer, Immutable, Alias("vuln-center.suppress-finding")]
internal sealed record SuppressFinding(
    [property: Id(0)] string Actor,
    [property: Id(1)] string CommandId,
    [property: Id(2)] long? ExpectedVersion,
    [property: Id(3)] SuppressionKind? Kind,
    [property: Id(4)] string Reason,
    [property: Id(5)] DateTimeOffset Until);

/// <param name="Severity">Null: what the source and its vector say counts again.</param>
[GenerateSerializer, Immutable, Alias("vuln-center.override-finding-severity")]
internal sealed record OverrideFindingSeverity(
    [property: Id(0)] string Actor,
    [property: Id(1)] string CommandId,
    [property: Id(2)] long? ExpectedVersion,
    [property: Id(3)] Severity? Severity,
    [property: Id(4)] string Reason);

[GenerateSerializer, Immutable, Alias("vuln-center.assign-finding")]
internal sealed record AssignFinding(
    [property: Id(0)] string Actor,
    [property: Id(1)] string CommandId,
    [property: Id(2)] long? ExpectedVersion,
    [property: Id(3)] string? Assignee);

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
internal sealed class FindingGrain(FindingStore store, PolicyStore policies, TimeProvider clock) : Grain, IFindingGrain
{
    private const int Attempts = 5;
    private const string Clock = "system:clock";
    private FindingState? _finding;

    public override async Task OnActivateAsync(CancellationToken cancellationToken) => _finding = await LoadAsync(cancellationToken);

    public Task<FindingAnswer> ChangeStatus(ChangeFindingStatus request, CancellationToken cancellation) =>
        DoAsync(request.Actor, request.CommandId, request.ExpectedVersion, finding => ReadAsync(finding, request, cancellation), cancellation);

    public Task<FindingAnswer> Suppress(SuppressFinding request, CancellationToken cancellation) =>
        DoAsync(request.Actor, request.CommandId, request.ExpectedVersion, request.Kind is { } kind
            ? new FindingCommand.Suppress(kind, request.Reason, request.Until)
            : new FindingCommand.LiftSuppression(request.Reason), cancellation);

    public Task<FindingAnswer> OverrideSeverity(OverrideFindingSeverity request, CancellationToken cancellation) =>
        DoAsync(request.Actor, request.CommandId, request.ExpectedVersion, request.Severity is { } severity
            ? new FindingCommand.OverrideSeverity(severity, request.Reason)
            : new FindingCommand.RestoreSeverity(request.Reason), cancellation);

    public Task<FindingAnswer> Assign(AssignFinding request, CancellationToken cancellation) =>
        DoAsync(request.Actor, request.CommandId, request.ExpectedVersion, new FindingCommand.Assign(request.Assignee), cancellation);

    public async Task ComeDue(CancellationToken cancellation)
    {
        // What the sweeper read may be newer than what is remembered here: an import may have set it.
        _finding = await LoadAsync(cancellation);
        var answer = await DoAsync(Clock, commandId: null, expected: null, new FindingCommand.ComeDue(), cancellation);
        if (answer is { RefusalCode: { } code } && code != ProblemCodes.NotFound.Code)
        {
            throw new InvalidOperationException($"What is due was refused: {code}.");
        }
    }

    private Task<FindingAnswer> DoAsync(string actor, string? commandId, long? expected, FindingCommand command, CancellationToken cancellation) =>
        DoAsync(actor, commandId, expected, _ => Task.FromResult(command), cancellation);

    private async Task<FindingAnswer> DoAsync(
        string actor, string? commandId, long? expected, Func<FindingState, Task<FindingCommand>> read, CancellationToken cancellation)
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

            var policy = await policies.ForAsync(finding.Tenant, finding.Service, cancellation);
            var decision = FindingRules.Decide(finding, await read(finding), policy, clock.GetUtcNow());
            var stale = expected is { } version && version != finding.Version;
            switch (decision)
            {
                case FindingDecision.Accepted accepted when !stale:
                    switch (await SaveAsync(finding, accepted, policy, actor, commandId, cancellation))
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
                    if (commandId is not null && await store.FindAnswerAsync(finding, commandId, cancellation) is { } answer)
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

    private async Task<SaveOutcome> SaveAsync(
        FindingState finding, FindingDecision.Accepted accepted, FindingPolicies policy, string actor, string? commandId, CancellationToken cancellation)
    {
        try
        {
            return await store.SaveAsync(finding, accepted, policy, actor, commandId, cancellation);
        }
        catch
        {
            // Whether it was committed is not known: forget what we hold; the repeat finds the answer or decides anew.
            _finding = null;
            DeactivateOnIdle();
            throw;
        }
    }

    /// <summary>What the request means for the finding as it is; the evidence is looked up, and a clean scan looked for where none is named.</summary>
    private async Task<FindingCommand> ReadAsync(FindingState finding, ChangeFindingStatus request, CancellationToken cancellation)
    {
        if (request is { Status: FindingStatus.Verified, Evidence: null } && await store.CleanScanAsync(finding, named: null, cancellation) is { } scan)
        {
            return (request with { Evidence = new EvidenceReference(scan, null, null, null) }).ToCommand(finding.Status, EvidenceProof.CleanScan);
        }

        return request.ToCommand(finding.Status, await ProofAsync(finding, request.Evidence, cancellation));
    }

    private Task<EvidenceProof> ProofAsync(FindingState finding, EvidenceReference? evidence, CancellationToken cancellation) => evidence switch
    {
        { Scan: { } scan } => store.WeighScanAsync(finding, scan, cancellation),
        { Sha256: { } sha256 } => store.WeighArtifactAsync(finding, sha256, cancellation),
        { Uri: not null } => Task.FromResult(EvidenceProof.Link),
        { Note: not null } => Task.FromResult(EvidenceProof.Note),
        _ => Task.FromResult(EvidenceProof.None),
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
