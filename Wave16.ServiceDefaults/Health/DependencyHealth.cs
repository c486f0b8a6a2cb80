using System.Collections.Concurrent;

namespace Wave16.ServiceDefaults;

public enum DependencyState
{
    Healthy,
    Degraded,
    NotConfigured,
}

/// <summary>What is known about the systems this process needs. Whoever talks to one reports what it saw; <c>/health</c> tells.</summary>
/// <remarks>A dependency that is down never takes the replica out of service: it must stay to answer 503 with Retry-After, or to
/// keep writing to the outbox.</remarks>
public sealed class DependencyHealth(TimeProvider time)
{
    private readonly ConcurrentDictionary<(string Dependency, string Reporter), DependencyReport> _reports = new();

    /// <param name="dependency">Kebab-case name: <c>postgres</c>, <c>safety-console</c>.</param>
    /// <param name="state">The time of the change is kept; reporting the same state again changes only the detail.</param>
    /// <param name="detail">Shown to anyone who can reach <c>/health</c>: no host names, no secrets.</param>
    /// <param name="reporter">Who saw it, where several in one process talk to it: the worst that one of them saw is told.</param>
    public void Report(string dependency, DependencyState state, string? detail = null, string reporter = "")
    {
        if (_reports.TryGetValue((dependency, reporter), out var known) && known.State == state && known.Detail == detail)
            return;
        _reports.AddOrUpdate(
            (dependency, reporter),
            static (of, now) => new DependencyReport(of.Dependency, now.State, now.Since, now.Detail),
            static (_, before, now) => before with { State = now.State, Since = before.State == now.State ? before.Since : now.Since, Detail = now.Detail },
            (State: state, Since: time.GetUtcNow(), Detail: detail));
    }

    /// <summary>The reporter no longer talks to it.</summary>
    public void Forget(string dependency, string reporter) => _reports.TryRemove((dependency, reporter), out _);

    /// <summary>One per dependency, sorted by name.</summary>
    public IReadOnlyList<DependencyReport> Reports =>
    [
        .. _reports.Values.GroupBy(report => report.Name, StringComparer.Ordinal)
            .Select(reports => reports.OrderBy(report => report.State != DependencyState.Degraded).ThenBy(report => report.Since).First())
            .OrderBy(report => report.Name, StringComparer.Ordinal),
    ];
}

/// <param name="Name">Of the dependency.</param>
/// <param name="State">As last reported.</param>
/// <param name="Since">When it entered that state.</param>
/// <param name="Detail">A few words, or null.</param>
public sealed record DependencyReport(string Name, DependencyState State, DateTimeOffset Since, string? Detail);

/// <summary>Something that must be so before this replica can serve: schema new enough, silo joined. Register as a singleton.</summary>
public interface IReadiness
{
    /// <summary>Kebab-case: <c>schema</c>, <c>silo</c>.</summary>
    string Name { get; }

    /// <summary>Null when ready. Asked on every probe: answer from memory.</summary>
    string? NotReadyBecause { get; }
}
