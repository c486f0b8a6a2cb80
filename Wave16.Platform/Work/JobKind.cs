using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.Platform.Work;

internal sealed record JobKind(string Name, JobLimits Limits, Func<IServiceProvider, JobContext, CancellationToken, Task<JobOutcome>> Run)
{
    public static JobKind Of<THandler, TArguments>(string name, JsonTypeInfo<TArguments> json, JobLimits limits)
        where THandler : class, IJobHandler<TArguments> =>
        new(name, limits, async (services, job, cancellation) =>
        {
            var arguments = JsonSerializer.Deserialize(job.Claim.Arguments, json)
                ?? throw new JsonException($"The arguments of a job of kind {name} are null.");
            await using var scope = services.CreateAsyncScope();
            return await scope.ServiceProvider.GetRequiredService<THandler>().RunAsync(job, arguments, cancellation);
        });
}

/// <summary>The kinds of job a module knows. Rows of other kinds (of a newer release) are left alone.</summary>
internal sealed class JobKinds
{
    private readonly Dictionary<string, JobKind> _kinds = new(StringComparer.Ordinal);

    public void Add(JobKind kind) => _kinds.Add(kind.Name, kind);

    public IReadOnlyCollection<JobKind> All => _kinds.Values;

    public bool Contains(string kind) => _kinds.ContainsKey(kind);
}
