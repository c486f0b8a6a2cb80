using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Work;

/// <summary>Stored as its lower-case name; values are never renamed.</summary>
public enum JobState
{
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// <summary>A job to be done.</summary>
/// <param name="Tenant">Whose it is; tenants take turns.</param>
/// <param name="Id">Chosen by the caller; a second job of the same tenant and id is not made.</param>
/// <param name="Kind">As registered with <see cref="Modules.ModuleBuilder.AddJobHandler"/>.</param>
/// <param name="Arguments">For the handler. Ids and references; what is large belongs in a table of the module.</param>
/// <param name="CreatedBy">Who asked: a subject from a token, or <c>system:&lt;part&gt;</c>.</param>
public sealed record NewJob(string Tenant, Guid Id, string Kind, JsonElement Arguments, string CreatedBy)
{
    public static NewJob Of<TArguments>(string tenant, Guid id, string kind, TArguments arguments, JsonTypeInfo<TArguments> json, string createdBy) =>
        new(tenant, id, kind, JsonSerializer.SerializeToElement(arguments, json), createdBy);
}

/// <summary>A job as it stands.</summary>
public sealed record Job
{
    public required string Tenant { get; init; }

    public required Guid Id { get; init; }

    public required string Kind { get; init; }

    public required JobState State { get; init; }

    /// <summary>As the handler last reported it; <c>{}</c> before that.</summary>
    public required JsonElement Progress { get; init; }

    /// <summary>Set when <see cref="JobState.Succeeded"/>.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>Set when <see cref="JobState.Failed"/>, or when an attempt failed and another will follow.</summary>
    public Refusal? Problem { get; init; }

    /// <summary>How often it was begun. Being released at a shutdown does not count.</summary>
    public required int Attempts { get; init; }

    public required bool CancelAsked { get; init; }

    public required string CreatedBy { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When its latest attempt began.</summary>
    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public bool IsFinished => State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;
}

/// <summary>How a job ended: a handler returns one. An exception is a failed attempt and is tried again.</summary>
public abstract record JobOutcome
{
    private JobOutcome()
    {
    }

    public static JobOutcome Success<TResult>(TResult result, JsonTypeInfo<TResult> json) => new Succeeded(JsonSerializer.Serialize(result, json));

    /// <summary>For good: no further attempt.</summary>
    public static JobOutcome Failure(Refusal problem) => new Failed(problem);

    /// <param name="Result">JSON.</param>
    public sealed record Succeeded(string Result) : JobOutcome;

    public sealed record Failed(Refusal Problem) : JobOutcome;
}

/// <summary>Does one kind of long work. Made anew, in its own scope, for every attempt.</summary>
/// <remarks>
/// An attempt can be cut short anywhere and begun again, on another node, and for a moment the earlier one may still run. So what
/// it writes either can be written twice, or is written in a transaction that calls <see cref="JobContext.GuardAsync"/> or
/// <see cref="JobContext.CompleteAsync"/>.
/// </remarks>
public interface IJobHandler<in TArguments>
{
    /// <param name="job">Who, which attempt, and where to report to.</param>
    /// <param name="arguments">As enqueued.</param>
    /// <param name="cancellation">The job was cancelled, the lease was lost, or the process stops: end soon, by throwing.</param>
    Task<JobOutcome> RunAsync(JobContext job, TArguments arguments, CancellationToken cancellation);
}

/// <param name="Concurrency">How many of the kind one process runs at once.</param>
/// <param name="Attempts">How often a job is begun before it counts as failed.</param>
public sealed record JobLimits(int Concurrency, int Attempts)
{
    public static JobLimits Default { get; } = new(Concurrency: 2, Attempts: 5);
}

/// <summary>The attempt's lease has passed to another runner, or the job has ended: nothing more may be written for it.</summary>
public sealed class JobLeaseLostException(string tenant, Guid id, long fence)
    : Exception($"Job {tenant}/{id}: the lease with fence {fence} is lost.");

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Refusal))]
internal sealed partial class WorkJson : JsonSerializerContext;
