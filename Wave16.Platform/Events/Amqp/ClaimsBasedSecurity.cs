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
    private const string Address = "$cbs";

    // The share of its lifetime after which a token is renewed, and the shortest wait before that.
    private const double RenewAfter = 0.75;
    private static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1);

    private readonly BrokerTokens _tokens;
    private readonly TimeSpan _answerWithin;
    private readonly TimeProvider _time;
    private readonly Action<BrokerException> _failed;
    private readonly CancellationTokenSource _ending = new();
    private readonly CancellationToken _end;
    private readonly ConcurrentDictionary<string, Lazy<Task>> _authorized = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, TaskCompletionSource<Message>> _waiting = new(StringComparer.Ordinal);
    private readonly Connection _connection;
    private readonly Lock _gate = new();
    private Node? _node;
    private long _request;

    public ClaimsBasedSecurity(Connection connection, BrokerTokens tokens, TimeSpan answerWithin, TimeProvider time, Action<BrokerException> failed)
    {
        (_connection, _tokens, _answerWithin, _time, _failed, _end) = (connection, tokens, answerWithin, time, failed, _ending.Token);
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
            var token = await PutAsync(audience, _end);
            _ = RenewAsync(audience, token.ExpiresAt, isWanted, _end);
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

        var node = await AttachedAsync(ending);
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
            node.Requests.Send(
                new Message(token.Value) { Properties = new Properties { MessageId = id, ReplyTo = node.ReplyTo }, ApplicationProperties = properties },
                static (_, _, _, _) => { }, null);
            Check(await answer.Task.WaitAsync(_answerWithin, ending));
            return token;
        }
        catch (TimeoutException silent)
        {
            // It may never answer again: the next token goes to one that is attached anew.
            Interlocked.CompareExchange(ref _node, null, node);
            LinkAttachment.Close(node.Requests.Session);
            throw new BrokerException("the broker did not answer about the token", silent);
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

    // Attached anew when the broker has detached it, as it may when nothing passes. A refusal is for the whole connection.
    private async Task<Node> AttachedAsync(CancellationToken ending)
    {
        Node node;
        try
        {
            lock (_gate)
            {
                node = _node = _node is { HasEnded: false } open ? open : Attach();
            }

            await node.Attached.WaitAsync(_answerWithin, ending);
            return node;
        }
        catch (Exception refused) when (refused is BrokerException or TimeoutException or AmqpException)
        {
            var none = new BrokerException($"the broker has no $cbs ({(refused is TimeoutException ? "no answer" : refused.Message)})", refused);
            _failed(none);
            throw none;
        }
    }

    private Node Attach()
    {
        var session = new Session(_connection);
        var replyTo = $"cbs-{Guid.NewGuid():N}";
        var requests = LinkAttachment.Send(session, Address, durable: false, out var sending);
        var answers = LinkAttachment.Receive(session, new Source { Address = Address }, new Target { Address = replyTo }, out var receiving);
        answers.Start(20, OnAnswer);
        requests.AddClosedCallback(Ended);
        answers.AddClosedCallback(Ended);
        return new Node(requests, answers, replyTo, Task.WhenAll(sending, receiving));

        void Ended(IAmqpObject link, Error? error)
        {
            LinkAttachment.Close(session);
            foreach (var waiting in _waiting.Values)
            {
                waiting.TrySetException(new BrokerException($"the broker ended $cbs ({LinkAttachment.Reason(error)})"));
            }
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

    private sealed record Node(SenderLink Requests, ReceiverLink Answers, string ReplyTo, Task Attached)
    {
        public bool HasEnded => Requests.IsClosed || Answers.IsClosed;
    }
}
