using Microsoft.AspNetCore.Connections;

namespace Wave16.Neighbours;

/// <summary>
/// What every call to a neighbour passes: its body is read, its fate decided, and it is recorded once,
/// before the caller can see the answer.
/// </summary>
internal sealed class Intake(IStandIn standIn, FaultSwitch faults, ReceivedLog received, TimeProvider time, CancellationToken stopping)
{
    public async Task InvokeAsync(HttpContext context, string root, RequestDelegate next)
    {
        var call = new Arrival(context, root, time.GetUtcNow(), received);
        context.Response.OnStarting(() =>
        {
            call.Record(context.Response.StatusCode);
            return Task.CompletedTask;
        });
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            await AnswerAsync(context, call, next, patience.Token);
            call.Record(context.Response.StatusCode);
        }
        catch (Exception gone) when (gone is ConnectionResetException || gone is OperationCanceledException && patience.IsCancellationRequested)
        {
            // The caller went away, or the host is stopping under a long delay: nobody is left to answer.
            call.Record(status: null);
            context.Abort();
        }
        catch
        {
            call.Record(context.RequestAborted.IsCancellationRequested ? null : StatusCodes.Status500InternalServerError);
            throw;
        }
    }

    async Task AnswerAsync(HttpContext context, Arrival call, RequestDelegate next, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadAsync(context.Request, standIn.MaxBodyBytes, cancellationToken);
        call.Body = body;

        var fate = faults.Next();
        if (fate.Latency > TimeSpan.Zero)
            await Task.Delay(fate.Latency, time, cancellationToken);
        switch (fate.Outcome)
        {
            case Outcome.Down:
                call.Fault = "down";
                call.Record(status: null);
                context.Abort();
                return;
            case Outcome.Failed:
                call.Fault = "failed";
                await Problems.Of(fate.Status, "fault.injected", "This neighbour was told to fail this call.").ExecuteAsync(context);
                return;
            case Outcome.Served when body.Refusal is { } refusal:
                await refusal.ExecuteAsync(context);
                return;
            default:
                context.Features.Set(body);
                await next(context);
                return;
        }
    }

    sealed class Arrival(HttpContext context, string root, DateTimeOffset at, ReceivedLog log)
    {
        int _recorded;

        public RequestBody Body { get; set; } = RequestBody.Unread;

        public string? Fault { get; set; }

        public void Record(int? status)
        {
            if (Interlocked.Exchange(ref _recorded, 1) == 1)
                return;
            var request = context.Request;
            var (text, encoding, truncated) = Body.Excerpt();
            log.Append(new(
                0,
                at,
                request.Method,
                RequestTarget.Below(root, request),
                RequestHeaders.Shown(request.Headers),
                RequestHeaders.Authorization(request.Headers),
                text,
                encoding,
                Body.Length,
                truncated,
                status,
                Fault));
        }
    }
}
