using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Npgsql;

namespace Wave16.Platform.Work;

/// <summary>One attempt at a job.</summary>
public sealed class JobContext
{
    private readonly JobStore _store;

    internal JobContext(JobStore store, ClaimedJob claim)
    {
        _store = store;
        Claim = claim;
    }

    internal ClaimedJob Claim { get; }

    public string Tenant => Claim.Tenant;

    public Guid JobId => Claim.Id;

    public string CreatedBy => Claim.CreatedBy;

    /// <summary>Grows with every attempt of the job; what a later attempt has written, an earlier one must not overwrite.</summary>
    public long Fence => Claim.Fence;

    /// <summary>1 for the first.</summary>
    public int Attempt => Claim.Attempt;

    /// <summary>Replaces the job's progress, which anyone who watches it sees. Call it a few times a second at most.</summary>
    /// <exception cref="JobLeaseLostException">The attempt is no longer the current one.</exception>
    public Task ReportAsync<TProgress>(TProgress progress, JsonTypeInfo<TProgress> json, CancellationToken cancellation) =>
        _store.ReportAsync(Claim, JsonSerializer.Serialize(progress, json), cancellation);

    /// <summary>
    /// Locks the job's row until the caller's transaction ends, and so proves that no other attempt can begin before
    /// everything in that transaction is committed.
    /// </summary>
    /// <exception cref="JobLeaseLostException">The attempt is no longer the current one; roll back.</exception>
    public Task GuardAsync(NpgsqlConnection connection, CancellationToken cancellation) => JobStore.GuardAsync(connection, Claim, cancellation);

    /// <summary>
    /// Ends the job as succeeded inside the caller's transaction, so that its last effects and its end are one: both happen,
    /// once, or neither. Return the same result from the handler.
    /// </summary>
    /// <exception cref="JobLeaseLostException">The attempt is no longer the current one; roll back.</exception>
    public async Task CompleteAsync<TResult>(NpgsqlConnection connection, TResult result, JsonTypeInfo<TResult> json, CancellationToken cancellation)
    {
        if (!await _store.EndAsync(connection, Claim, JobState.Succeeded, JsonSerializer.Serialize(result, json), problem: null, cancellation))
        {
            throw new JobLeaseLostException(Tenant, JobId, Fence);
        }
    }
}

internal sealed record ClaimedJob(string Tenant, Guid Id, string Kind, string Arguments, long Fence, int Attempt, string CreatedBy, string? TraceParent);
