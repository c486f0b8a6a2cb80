using System.Collections.Concurrent;
using System.Diagnostics;

namespace Wave16.Bench;

/// <summary>
/// Counts the SQL that is sent within one trace: whatever a request causes, in its job too, and nothing that runs beside it. What the
/// deliveries of its events cause later, one by one, is counted apart.
/// </summary>
internal sealed class StatementCount : IDisposable
{
    private readonly ConcurrentQueue<string> _statements = new();
    private int _deliveries;
    private readonly ActivityListener _listener;
    private readonly Activity _trace;

    public StatementCount()
    {
        _trace = new Activity("count").SetIdFormat(ActivityIdFormat.W3C);
        _trace.ActivityTraceFlags = ActivityTraceFlags.Recorded;
        _trace.Start();
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "Npgsql" or "Wave16.Platform" or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = Keep,
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public int Copies => _statements.Count(IsCopy);

    public int Statements => _statements.Count(statement => !IsCopy(statement));

    public int InDeliveries => Volatile.Read(ref _deliveries);

    public void Dispose()
    {
        _listener.Dispose();
        _trace.Dispose();
    }

    private static bool IsCopy(string statement) => statement.StartsWith("copy", StringComparison.OrdinalIgnoreCase);

    private void Keep(Activity activity)
    {
        if (activity.Source.Name != "Npgsql" || activity.TraceId != _trace.TraceId)
        {
            return;
        }

        var cause = activity;
        while (cause.Parent is { } parent)
        {
            cause = parent;
        }

        if (cause == _trace)
        {
            return; // the benchmark's own
        }

        if (cause.Kind == ActivityKind.Producer)
        {
            Interlocked.Increment(ref _deliveries);
        }
        else
        {
            _statements.Enqueue((activity.GetTagItem("db.query.text") ?? activity.GetTagItem("db.statement") ?? activity.DisplayName).ToString() ?? "");
        }
    }
}
