using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Policies;
using Wave16.VulnCenter.Ssvc;

namespace Wave16.VulnCenter.Findings;

/// <summary>
/// What follows from a finding's facts and the policies: severity, SSVC decision, gate, deadline. Every path that changes a
/// finding ends here: the grain, the merge of a scan, feeds, policies.
/// </summary>
internal static class Settlement
{
    /// <param name="before">Null for a new finding.</param>
    /// <param name="changed">With the new facts, not settled yet.</param>
    public static FindingState Settle(FindingState? before, FindingState changed, FindingPolicies policies, DateTimeOffset now)
    {
        var rated = Rate(changed, policies);
        return rated with { Gate = policies.Gate.Surfaces(rated), Sla = Run(before, rated, policies.Sla, now) };
    }

    private static FindingState Rate(FindingState f, FindingPolicies policies)
    {
        var (severity, from, score) = (f.ScanSeverity, f.ScanSeverityFrom, (decimal?)null);
        var vector = f.CvssVector is { } text ? CvssVector.Read(text).Vector : null;
        if (vector is not null)
        {
            var concerned = policies.CvssEnvironment?.Concerns(vector.Version) == true;
            var scores = (concerned && policies.CvssEnvironment is { } environment ? vector.With(environment) : vector).Score();
            (severity, score) = (scores.Severity, scores.Overall);
            from = concerned ? $"{from}/environmental" : from;
        }

        return f with
        {
            Severity = f.Override?.Severity ?? severity,
            SeverityFrom = f.Override is null ? from : "override",
            CvssScore = score,
            Ssvc = SsvcInputs.Of(vector, f.Kev, f.Exploit, policies.Mission).Decision,
        };
    }

    private static SlaClock Run(FindingState? before, FindingState after, SlaPolicy? policy, DateTimeOffset now)
    {
        var regressed = before is { Status: FindingStatus.Fixed or FindingStatus.Verified } && after.Status is FindingStatus.Open;
        var clock = regressed && policy is not { OnRegression: OnRegression.Continue } ? SlaClock.StartedAt(now) : after.Sla;
        var allowed = policy?.AllowedFor(after);
        if (!after.IsLive)
        {
            // What ran out before anybody was told is a breach all the same.
            return clock with
            {
                Policy = allowed is null ? null : policy?.Name,
                PausedAt = clock.PausedAt ?? now,
                WarnAt = null,
                DueAt = null,
                BreachedAt = clock.BreachedAt ?? (clock.DueAt <= now ? clock.DueAt : null),
            };
        }

        var paused = clock.PausedAt is { } since && now > since ? clock.Paused + (now - since) : clock.Paused;
        var running = clock with { Paused = paused, PausedAt = null };
        if (policy is null || allowed is not { } time)
        {
            return running with { Policy = null, WarnAt = null, DueAt = null, WarnedAt = null, BreachedAt = null };
        }

        var (warn, due) = (running.From + paused + (time * policy.WarnAfter), running.From + paused + time);

        // A deadline that has moved away from what was told is not warned of, nor breached, any more.
        return running with
        {
            Policy = policy.Name,
            WarnAt = warn,
            DueAt = due,
            WarnedAt = warn > now ? null : clock.WarnedAt,
            BreachedAt = due > now ? null : clock.BreachedAt,
        };
    }
}
