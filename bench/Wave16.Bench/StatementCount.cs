using System.Collections.Concurrent;
using System.Diagnostics;

namespace Wave16.Bench;

/// <summary>Counts the SQL that is sent within one trace: whatever a request causes, in its job too, and nothing that runs beside it.</summary>
internal sealed class StatementCount : IDisposable
{
    private readonly ConcurrentQueue<string> _statements = new();
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

    public void Dispose()
    {
        _listener.Dispose();
        _trace.Dispose();
    }

    private static bool IsCopy(string statement) => statement.StartsWith("copy", StringComparison.OrdinalIgnoreCase);

    private void Keep(Activity activity)
    {
        if (activity.Source.Name == "Npgsql" && activity.TraceId == _trace.TraceId)
        {
            _statements.Enqueue((activity.GetTagItem("db.query.text") ?? activity.GetTagItem("db.statement") ?? activity.DisplayName).ToString() ?? "");
        }
    }
}
