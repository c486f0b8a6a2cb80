using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Http;

/// <summary>Answers a request once for each idempotency key.</summary>
public static class Idempotent
{
    internal const string ReplayedHeader = "Idempotency-Replayed";
    private const int TooEarly = 425;

    /// <summary>
    /// For a handler that hashes its body while it reads it, because it is too large to be read twice; its endpoint is declared with
    /// <see cref="IdempotencyBody.HashedByHandler"/>. Runs the command unless the key says that it has been run: then the stored
    /// answer is given, or 409 while it runs, or 422 when the key was used for another request.
    /// </summary>
    /// <param name="bodySha256">SHA-256 of the request's body, 32 bytes.</param>
    /// <param name="run">Does the command under the id it is given. May be called in another request again, after a crash or a 5xx.</param>
    public static IResult Once(ReadOnlyMemory<byte> bodySha256, Func<CommandId, CancellationToken, Task<IResult>> run)
    {
        if (bodySha256.Length != Fingerprint.Length)
        {
            throw new ArgumentException("A SHA-256 is 32 bytes.", nameof(bodySha256));
        }

        return new OnceResult(bodySha256, run);
    }

    /// <summary>Answers by way of the store when the request has a key, and directly when it has none.</summary>
    internal static async Task AnswerAsync(HttpContext context, Func<HttpRequest, CancellationToken, Task<byte[]>> bodySha256, RequestDelegate answer)
    {
        var header = context.Request.Headers[IdempotencyKey.Header];
        // Nobody is behind the key, so it could not be told from that of anybody else.
        if (header.Count == 0 || Caller.Of(context.User) is not { } caller)
        {
            await answer(context);
            return;
        }

        if (!IdempotencyKey.TryParse(header, out var key))
        {
            await RefuseAsync(context, ProblemCodes.IdempotencyKeyInvalid, $"{IdempotencyKey.Header} must be one value of 1 to {IdempotencyKey.MaxLength} printable ASCII characters, in double quotes, or bare and then without comma and quote.");
            return;
        }

        var scope = new IdempotencyScope(caller.Tenant, caller.Partner is { } partner ? $"{partner}\n{caller.Subject}" : caller.Subject);
        var fingerprint = Fingerprint.Of(context.Request, await bodySha256(context.Request, context.RequestAborted));
        var store = context.RequestServices.GetRequiredKeyedService<IdempotencyStore>(ModuleEndpoint.Of(context));
        switch (await store.BeginAsync(scope, key, fingerprint, context.RequestAborted))
        {
            case IdempotencyDecision.Run first:
                context.Features.Set(CommandId.Of(scope, key, fingerprint));
                await RunAsync(context, store, first.Attempt, answer);
                break;
            case IdempotencyDecision.Replay again:
                await ReplayAsync(context, again.Answer);
                break;
            case IdempotencyDecision.StillRunning:
                context.Response.Headers.RetryAfter = "1";
                await RefuseAsync(context, ProblemCodes.IdempotencyInProgress, "Repeat the request later to get its answer.");
                break;
            case IdempotencyDecision.UsedForAnother:
                await RefuseAsync(context, ProblemCodes.IdempotencyKeyReused, "Use a new key for every new request.");
                break;
        }
    }

    private static async Task RunAsync(HttpContext context, IdempotencyStore store, IdempotencyAttempt attempt, RequestDelegate answer)
    {
        var log = context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(Idempotent));
        AnswerRecorder recorder;
        using (var done = new CancellationTokenSource())
        {
            var renewal = RenewAsync(store, attempt, context.RequestServices.GetRequiredService<TimeProvider>(), log, done.Token);
            try
            {
                recorder = await AnswerRecorder.RecordAsync(context, answer);
            }
            catch
            {
                await WriteAsync(store.ReleaseAsync(attempt, CancellationToken.None), log);
                throw;
            }
            finally
            {
                await done.CancelAsync();
                await renewal.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        // Without the caller's token: what has been done is recorded even if the caller is gone.
        await WriteAsync(
            recorder.Overflowed || !IsFinal(context.Response.StatusCode)
                ? store.ReleaseAsync(attempt, CancellationToken.None)
                : store.CompleteAsync(attempt, recorder.ToStored(), CancellationToken.None),
            log);
        await recorder.SendAsync(context.RequestAborted);
    }

    // Nothing was done, and the same request can succeed later: repeating it is the right thing to do.
    private static bool IsFinal(int status) => status < 500 && status is not (
        StatusCodes.Status408RequestTimeout or StatusCodes.Status409Conflict or StatusCodes.Status412PreconditionFailed
        or TooEarly or StatusCodes.Status428PreconditionRequired or StatusCodes.Status429TooManyRequests);

    // The command is done or not done whatever becomes of this write; a repetition finds out by the command's id.
    private static async Task WriteAsync(Task write, ILogger log)
    {
        try
        {
            await write;
        }
        catch (NpgsqlException failure)
        {
            log.LogWarning(failure, "The answer for an idempotency key could not be stored");
        }
    }

    private static async Task RenewAsync(IdempotencyStore store, IdempotencyAttempt attempt, TimeProvider clock, ILogger log, CancellationToken done)
    {
        using var timer = new PeriodicTimer(IdempotencyStore.Lease / 3, clock);
        while (await timer.WaitForNextTickAsync(done))
        {
            await WriteAsync(store.RenewAsync(attempt, done), log);
        }
    }

    private static async Task ReplayAsync(HttpContext context, StoredAnswer answer)
    {
        context.Response.StatusCode = answer.Status;
        foreach (var (name, values) in answer.Headers)
        {
            context.Response.Headers[name] = values;
        }

        context.Response.Headers[ReplayedHeader] = "true";
        if (answer.Body.Length > 0)
        {
            context.Response.ContentLength = answer.Body.Length;
            await context.Response.Body.WriteAsync(answer.Body, context.RequestAborted);
        }
    }

    private static Task RefuseAsync(HttpContext context, ProblemCode code, string detail) => new Refusal(code.Code, detail).ToResult().ExecuteAsync(context);

    private sealed class OnceResult(ReadOnlyMemory<byte> bodySha256, Func<CommandId, CancellationToken, Task<IResult>> run) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext) => AnswerAsync(
            httpContext,
            (_, _) => Task.FromResult(bodySha256.ToArray()),
            async context =>
            {
                var result = await run(await CommandId.BindAsync(context), context.RequestAborted);
                await result.ExecuteAsync(context);
            });
    }
}
