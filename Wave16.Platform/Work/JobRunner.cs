using System.Diagnostics;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Work;

/// <summary>Runs a module's jobs in this process: claims them, keeps their leases, ends them, and gives them back at a shutdown.</summary>
internal sealed class JobRunner(
    IServiceProvider services, ModuleDatabase database, JobStore store, JobLeases leases, JobBoard board, JobKinds kinds, JobMetrics metrics, DependencyHealth health, TimeProvider clock, ILogger<JobRunner> log)
    : BackgroundService
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReleaseWithin = TimeSpan.FromSeconds(5);
    private static readonly ActivitySource Source = new("Wave16.Platform");
    private static readonly string Exhausted = Problem(JobProblems.Failed, "Every attempt ended without an answer: the processes that ran it died or were cut off.");
    private readonly LoopHealth _health = new($"{database.Module}-jobs", health, log);
    private readonly Lock _gate = new();
    private readonly List<(JobKind Kind, JobRun Run)> _runs = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (kinds.All.Count == 0)
        {
            return;
        }

        await database.WhenReadyAsync(stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await BeatAsync(stoppingToken);
                await leases.ReapAsync(kinds.All, Exhausted, stoppingToken);
                await ClaimAsync(stoppingToken);
                _health.Works();
            }
            catch (Exception failure) when (failure is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                _health.Failed(failure);
            }

            await board.Changed.WaitAsync(Poll, clock, stoppingToken);
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        var runs = Running();
        foreach (var run in runs)
        {
            run.Interrupt(Interruption.Stopping);
        }

        if (runs.Count == 0 && !database.IsReady)
        {
            return;
        }

        // Not the host's token, which those that stopped before this may have used up.
        using var patience = new CancellationTokenSource(ReleaseWithin);
        try
        {
            await leases.ReleaseAllAsync(patience.Token);
            await Task.WhenAll(runs.Select(run => run.Finished)).WaitAsync(patience.Token);
            await leases.ReleaseAllAsync(patience.Token);
        }
        catch (Exception failure)
        {
            log.LogWarning(failure, "{Module}: jobs could not be released; others take them over when their leases end", database.Module);
        }
    }

    private async Task BeatAsync(CancellationToken cancellation)
    {
        var runs = Running();
        if (runs.Count == 0)
        {
            return;
        }

        var held = await leases.BeatAsync([.. runs.Select(run => run.Job)], cancellation);
        foreach (var run in runs)
        {
            if (!held.TryGetValue((run.Job.Tenant, run.Job.Id), out var cancel))
            {
                run.Interrupt(Interruption.LeaseLost);
            }
            else if (cancel)
            {
                run.Extend();
                run.Interrupt(Interruption.Cancelled);
            }
            else
            {
                run.Extend();
            }
        }
    }

    private async Task ClaimAsync(CancellationToken cancellation)
    {
        foreach (var kind in kinds.All)
        {
            while (CountOf(kind) < kind.Limits.Concurrency && await leases.ClaimAsync(kind.Name, cancellation) is { } job)
            {
                var run = new JobRun(job, clock);
                lock (_gate)
                {
                    _runs.Add((kind, run));
                }

                board.Begin(job);
                run.Finished = Task.Run(() => RunAsync(kind, run), CancellationToken.None);
            }
        }
    }

    private async Task RunAsync(JobKind kind, JobRun run)
    {
        var job = run.Job;
        using var activity = Source.StartActivity($"job {kind.Name}", ActivityKind.Consumer, job.TraceParent);
        activity?.SetTag("wave16.job.id", job.Id).SetTag("wave16.job.attempt", job.Attempt);
        var (began, ended) = (clock.GetTimestamp(), "failed");
        metrics.Began(database.Module, kind.Name);
        try
        {
            var outcome = await kind.Run(services, new JobContext(store, job), run.Token);
            await EndAsync(run, outcome);
            ended = outcome is JobOutcome.Succeeded ? "succeeded" : "failed";
        }
        catch (JobLeaseLostException lost)
        {
            ended = "interrupted";
            log.LogInformation("{Module}: {Reason}", database.Module, lost.Message);
        }
        catch (Exception cut) when (run.Token.IsCancellationRequested)
        {
            ended = run.Why is Interruption.Cancelled ? "cancelled" : "interrupted";
            activity?.SetStatus(ActivityStatusCode.Error, run.Why.ToString());
            await EndInterruptedAsync(run, cut);
        }
        catch (Exception failure)
        {
            activity?.SetStatus(ActivityStatusCode.Error, failure.GetType().Name);
            await FailAsync(kind, run, failure);
        }
        finally
        {
            metrics.Ended(database.Module, kind.Name, ended, clock.GetElapsedTime(began));
            lock (_gate)
            {
                _runs.RemoveAll(entry => entry.Run == run);
            }

            run.Dispose();
            board.End(job);
        }
    }

    private async Task EndAsync(JobRun run, JobOutcome outcome)
    {
        var written = outcome switch
        {
            JobOutcome.Succeeded success => await WriteAsync(run, () => store.EndAsync(run.Job, JobState.Succeeded, success.Result, problem: null, CancellationToken.None)),
            JobOutcome.Failed failure => await WriteAsync(run, () => store.EndAsync(run.Job, JobState.Failed, result: null, Problem(failure.Problem), CancellationToken.None)),
            _ => throw new UnreachableException(),
        };
        if (!written && (await store.FindAsync(run.Job.Tenant, run.Job.Id, CancellationToken.None))?.State is not JobState.Succeeded)
        {
            log.LogInformation("{Module}: job {Tenant}/{Job}, attempt {Attempt}, ended after its lease; what it would have written is refused", database.Module, run.Job.Tenant, run.Job.Id, run.Job.Attempt);
        }
    }

    private async Task EndInterruptedAsync(JobRun run, Exception cut)
    {
        log.LogInformation(cut, "{Module}: job {Tenant}/{Job} was interrupted: {Why}", database.Module, run.Job.Tenant, run.Job.Id, run.Why);
        if (run.Why is Interruption.Cancelled)
        {
            await WriteAsync(run, () => store.EndAsync(run.Job, JobState.Cancelled, result: null, problem: null, CancellationToken.None));
        }
    }

    private async Task FailAsync(JobKind kind, JobRun run, Exception failure)
    {
        var job = run.Job;
        log.LogError(failure, "{Module}: attempt {Attempt} at job {Kind} {Tenant}/{Job} failed", database.Module, job.Attempt, job.Kind, job.Tenant, job.Id);
        var trace = Activity.Current is { } activity ? $" Trace {activity.TraceId}." : "";
        if (job.Attempt >= kind.Limits.Attempts)
        {
            await WriteAsync(run, () => store.EndAsync(job, JobState.Failed, result: null, Problem(JobProblems.Failed, $"The last of {job.Attempt} attempts failed.{trace}"), CancellationToken.None));
            return;
        }

        var notBefore = clock.GetUtcNow() + RetryAfter(job.Attempt);
        await WriteAsync(run, () => store.RequeueAsync(job, Problem(JobProblems.AttemptFailed, $"Attempt {job.Attempt} of {kind.Limits.Attempts} failed.{trace}"), notBefore, CancellationToken.None));
    }

    /// <summary>5 s, 10 s, 20 s … at most 5 min.</summary>
    internal static TimeSpan RetryAfter(int attempt) => TimeSpan.FromSeconds(Math.Min(300, 5 * Math.Pow(2, Math.Min(attempt, 10) - 1)));

    // The work is done; a database that is away for a moment should not cause it to be done again.
    private async Task<bool> WriteAsync(JobRun run, Func<Task<bool>> write)
    {
        for (var until = clock.GetUtcNow() + JobLeases.Duration; ;)
        {
            try
            {
                return await write();
            }
            catch (Exception failure) when (clock.GetUtcNow() < until && run.Why is not Interruption.Stopping)
            {
                log.LogWarning(failure, "{Module}: the end of job {Tenant}/{Job} could not be written; trying again", database.Module, run.Job.Tenant, run.Job.Id);
                await Task.Delay(Poll, clock, CancellationToken.None);
            }
            catch (Exception failure)
            {
                log.LogError(failure, "{Module}: the end of job {Tenant}/{Job} could not be written; it will be begun again", database.Module, run.Job.Tenant, run.Job.Id);
                return false;
            }
        }
    }

    private List<JobRun> Running()
    {
        lock (_gate)
        {
            return [.. _runs.Select(entry => entry.Run)];
        }
    }

    private int CountOf(JobKind kind)
    {
        lock (_gate)
        {
            return _runs.Count(entry => entry.Kind == kind);
        }
    }

    private static string Problem(ProblemCode code, string detail) => Problem(new Refusal(code.Code, detail));

    private static string Problem(Refusal problem) => JsonSerializer.Serialize(problem, WorkJson.Default.Refusal);
}
