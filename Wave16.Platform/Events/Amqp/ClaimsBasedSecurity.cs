using System.Collections.Concurrent;
using System.Globalization;
using Amqp;
using Amqp.Framing;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// Claims-based security (OASIS AMQP CBS 1.0, working draft 5) on one connection: a token per audience is put to <c>$cbs</c>, and
/// again before it expires. A token that is refused, or cannot be had before the old one expires, ends the connection.
/// </summary>
internal sealed class ClaimsBasedSecurity : IAsyncDisposable
{
    private const string Node = "$cbs";

    // The share of its lifetime after which a token is renewed, and the shortest wait before that.
    private const double RenewAfter = 0.75;
    private static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(15);

    private readonly BrokerTokens _tokens;
    private readonly TimeProvider _time;
    private readonly Action<BrokerException> _failed;
    private readonly CancellationTokenSource _ending = new();
    private readonly CancellationToken _end;
    private readonly ConcurrentDictionary<string, Lazy<Task>> _authorized = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, TaskCompletionSource<Message>> _waiting = new(StringComparer.Ordinal);
    private readonly string _replyTo = $"cbs-{Guid.NewGuid():N}";
    private readonly SenderLink _requests;
    private readonly Task _attached;
    private long _request;

    public ClaimsBasedSecurity(Connection connection, BrokerTokens tokens, TimeProvider time, Action<BrokerException> failed)
    {
        (_tokens, _time, _failed, _end) = (tokens, time, failed, _ending.Token);
        var session = new Session(connection);
        _requests = LinkAttachment.Send(session, Node, durable: false, out var sending);
        var answers = LinkAttachment.Receive(session, new Source { Address = Node }, new Target { Address = _replyTo }, out var receiving);
        answers.Start(20, OnAnswer);
        _attached = Task.WhenAll(sending, receiving);
        session.AddClosedCallback((_, _) =>
        {
            foreach (var waiting in _waiting.Values)
            {
                waiting.TrySetException(new BrokerException("the connection has ended"));
            }
        });
    }

    /// <summary>Returns when the broker has taken a token for the audience; keeps it fresh from then on.</summary>
    /// <exception cref="BrokerException">Refused, or no token can be had.</exception>
    public async Task AuthorizeAsync(string audience)
    {
        var first = _authorized.GetOrAdd(audience, New);
        try
        {
            await first.Value;
        }
        catch
        {
            _authorized.TryRemove(new KeyValuePair<string, Lazy<Task>>(audience, first));
            throw;
        }
    }

    /// <summary>The broker does not honour its token any more: the next link to it puts another one first.</summary>
    public void Forget(string audience) => _authorized.TryRemove(audience, out _);

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        _ending.Dispose();
    }

    private Lazy<Task> New(string audience)
    {
        Lazy<Task>? first = null;
        first = new Lazy<Task>(() => FirstAsync(audience, () => _authorized.TryGetValue(audience, out var current) && ReferenceEquals(current, first)));
        return first;
    }

    private async Task FirstAsync(string audience, Func<bool> isWanted)
    {
        try
        {
            await _attached.WaitAsync(AnswerWithin, _end);
            var token = await PutAsync(audience, _end);
            _ = RenewAsync(audience, token.ExpiresAt, isWanted, _end);
        }
        catch (TimeoutException silent)
        {
            throw new BrokerException("the broker has no $cbs", silent);
        }
        catch (OperationCanceledException ended) when (_end.IsCancellationRequested)
        {
            // Whoever asked was not cancelled: to them the broker is away.
            throw new BrokerException("the connection has ended", ended);
        }
    }

    private async Task RenewAsync(string audience, DateTimeOffset expires, Func<bool> isWanted, CancellationToken ending)
    {
        try
        {
            while (true)
            {
                var wait = (expires - _time.GetUtcNow()) * RenewAfter;
                await Task.Delay(wait > Soonest ? wait : Soonest, _time, ending);
                if (!isWanted())
                {
                    return;
                }

                try
                {
                    expires = (await PutAsync(audience, ending)).ExpiresAt;
                }
                catch (BrokerException) when (_time.GetUtcNow() < expires)
                {
                    // The old one is still good: again at three quarters of what is left of it.
                }
            }
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The connection has ended.
        }
        catch (BrokerException refused)
        {
            _failed(refused);
        }
        catch (Exception bug)
        {
            // Nobody awaits this: a token that is not renewed must end the connection, whatever the cause.
            _failed(new BrokerException($"a token was not renewed ({bug.GetType().Name})", bug));
        }
    }

    private async Task<BrokerToken> PutAsync(string audience, CancellationToken ending)
    {
        BrokerToken token;
        try
        {
            token = await _tokens.ForAsync(audience, ending);
        }
        catch (Exception failure) when (!ending.IsCancellationRequested)
        {
            // Its own timeouts, too, which Azure.Identity throws as cancellations.
            throw new BrokerException($"no token can be had ({failure.GetType().Name})", failure);
        }

        var id = Interlocked.Increment(ref _request).ToString(CultureInfo.InvariantCulture);
        var answer = new TaskCompletionSource<Message>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting[id] = answer;
        try
        {
            var properties = new ApplicationProperties();
            properties["operation"] = "put-token";
            properties["type"] = token.Type;
            properties["name"] = audience;
            properties["expiration"] = token.ExpiresAt.UtcDateTime;
            _requests.Send(
                new Message(token.Value) { Properties = new Properties { MessageId = id, ReplyTo = _replyTo }, ApplicationProperties = properties },
                static (_, _, _, _) => { }, null);
            Check(await answer.Task.WaitAsync(AnswerWithin, ending));
            return token;
        }
        catch (TimeoutException)
        {
            throw new BrokerException("the broker did not answer about the token");
        }
        catch (AmqpException ended)
        {
            throw new BrokerException(LinkAttachment.Reason(ended.Error), ended);
        }
        catch (ObjectDisposedException ended)
        {
            throw new BrokerException("the connection has ended", ended);
        }
        finally
        {
            _waiting.TryRemove(id, out _);
        }
    }

    private void OnAnswer(IReceiverLink link, Message message)
    {
        link.Accept(message);
        if (message.Properties?.GetCorrelationId() is string id && _waiting.TryGetValue(id, out var waiting))
        {
            waiting.TrySetResult(message);
        }
    }

    private static void Check(Message answer)
    {
        var code = Convert.ToInt32(answer.ApplicationProperties?["status-code"] ?? 0, CultureInfo.InvariantCulture);
        if (code is not (200 or 202))
        {
            throw new BrokerException(string.Create(CultureInfo.InvariantCulture, $"the broker refused the token: {code}"));
        }
    }
}
