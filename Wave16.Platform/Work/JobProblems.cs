using Wave16.ServiceDefaults;

namespace Wave16.Platform.Work;

/// <summary>What the runner itself writes as a job's problem; a handler's own come with its module.</summary>
internal static class JobProblems
{
    public static readonly ProblemCode Failed = new("job.failed", 500, "The job failed");
    public static readonly ProblemCode AttemptFailed = new("job.attempt-failed", 500, "An attempt failed; the job is tried again");
}
