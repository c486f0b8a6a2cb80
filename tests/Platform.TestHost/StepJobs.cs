using System.Reflection;
using System.Security.Cryptography;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.TestHost;

internal sealed record Steps(int Count);

internal sealed record StepsDone(int Done);

/// <summary>
/// A job of numbered steps: each is a row of <c>step</c>, written in a transaction of its own under the job's guard, then
/// reported. It goes on after the step it had reported last.
/// </summary>
internal sealed class StepHandler(StepJobs.Hold hold, [FromKeyedServices(TestStore.Module)] ModuleDatabase database, [FromKeyedServices(TestStore.Module)] Jobs jobs) : IJobHandler<Steps>
{
    public async Task<JobOutcome> RunAsync(JobContext job, Steps arguments, CancellationToken cancellation)
    {
        var found = await jobs.FindAsync(job.Tenant, job.JobId, cancellation);
        var done = found is { Progress: var progress } && progress.TryGetProperty("done", out var reported) ? reported.GetInt32() : 0;
        while (done < arguments.Count)
        {
            done++;
            await using (var connection = await database.OpenAsync(cancellation))
            await using (var transaction = await connection.BeginTransactionAsync(cancellation))
            {
                await job.GuardAsync(connection, cancellation);
                await using var step = new NpgsqlCommand("insert into step (job, number, fence) values ($1, $2, $3)", connection);
                step.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = job.JobId });
                step.Parameters.Add(new NpgsqlParameter<int> { TypedValue = done });
                step.Parameters.Add(new NpgsqlParameter<long> { TypedValue = job.Fence });
                await step.ExecuteNonQueryAsync(cancellation);
                await transaction.CommitAsync(cancellation);
            }

            await job.ReportAsync(new StepsDone(done), StepJson.Default.StepsDone, cancellation);
            await Console.Out.WriteLineAsync($"step {done}");
            if (done == hold.After)
            {
                await Task.Delay(Timeout.Infinite, CancellationToken.None);
            }
        }

        return JobOutcome.Success(new StepsDone(done), StepJson.Default.StepsDone);
    }
}

internal static class StepJobs
{
    public const string Kind = "steps";

    /// <param name="After">The step after which the process stands still; 0 for none.</param>
    internal sealed record Hold(int After);

    /// <summary>A replica of the module that runs its jobs, until it is killed.</summary>
    public static async Task RunAsync(string connectionString, int holdAfter)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { EnvironmentName = Environments.Development });
        builder.Configuration.AddInMemoryCollection(
        [
            new($"ConnectionStrings:{TestStore.Module}-db", connectionString),
            new("Audit:SigningKey", ECDsa.Create(ECCurve.NamedCurves.nistP256).ExportPkcs8PrivateKeyPem()),
        ]);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddMetrics();
        builder.Services.AddSingleton<DependencyHealth>();
        builder.Services.AddSingleton(new Hold(holdAfter));
        var module = new ModuleBuilder(new Counters(), builder);
        module.AddPlatform(typeof(StepJobs).Assembly);
        module.AddJobHandler<StepHandler, Steps>(Kind, StepJson.Default.Steps);
        using var host = builder.Build();
        await host.RunAsync();
    }

    private sealed class Counters : IModule
    {
        public string Name => TestStore.Module;

        public string Title => "Counters";

        public Assembly Migrations => typeof(StepJobs).Assembly;

        public void AddServices(ModuleBuilder module)
        {
        }

        public void MapEndpoints(IEndpointRouteBuilder app)
        {
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Steps))]
[JsonSerializable(typeof(StepsDone))]
internal sealed partial class StepJson : JsonSerializerContext;
