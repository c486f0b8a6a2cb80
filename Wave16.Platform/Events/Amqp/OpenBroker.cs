using System.Collections.Concurrent;
using System.Net.Sockets;
using Amqp;
using Amqp.Framing;
using Amqp.Handler;
using Amqp.Sasl;
using LibraryEvent = Amqp.Handler.EventId;

namespace Wave16.Platform.Events.Amqp;

/// <summary>One connection, from its open to its end.</summary>
internal sealed class OpenBroker : IAsyncDisposable
{
    private static readonly TimeSpan CloseWithin = TimeSpan.FromSeconds(2);

    private readonly BrokerAddress _address;
    private readonly Connection _connection;
    private readonly Watch _watch;
    private readonly TimeSpan _answerWithin;
    private readonly ClaimsBasedSecurity? _security;
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<string, Lazy<Task<TopicSender>>> _senders = new(StringComparer.Ordinal);

    private OpenBroker(BrokerAddress address, Connection connection, Watch watch, BrokerDialect dialect, BrokerTokens? tokens, TransportSettings settings, TimeProvider time)
    {
        (_address, _connection, _watch, _answerWithin, Dialect) = (address, connection, watch, settings.AnswerWithin, dialect);
        connection.AddClosedCallback((_, error) => End(LinkAttachment.Reason(error)));
        watch.Closing = () => End("no sign of life from the broker");
        _security = tokens is null ? null : new ClaimsBasedSecurity(connection, tokens, settings.AnswerWithin, time, refused => End(refused.Message));
    }

    public BrokerDialect Dialect { get; }

    /// <summary>Completes with the reason when the connection has ended.</summary>
    public Task<string> Ended => _ended.Task;

    /// <exception cref="BrokerException">No connection, or the broker will not have us.</exception>
    public static async Task<OpenBroker> ConnectAsync(BrokerAddress address, BrokerTokens? tokens, TransportSettings settings, TimeProvider time, CancellationToken cancellation)
    {
        var watch = new Watch();
        var factory = new ConnectionFactory();
        factory.AMQP.HostName = address.OpenHostName;
        factory.AMQP.IdleTimeout = (int)settings.IdleTimeout.TotalMilliseconds;
        var plain = address.Credentials as BrokerCredentials.Plain;
        factory.SASL.Profile = plain is null ? SaslProfile.Anonymous : null;
        using var overdue = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        overdue.CancelAfter(settings.ConnectWithin);
        var opening = factory.CreateAsync(new Address(address.Host, address.Port, plain?.User, plain?.Password, "/", address.Tls ? "AMQPS" : "AMQP"), overdue.Token, watch);
        try
        {
            var connection = await opening.WaitAsync(overdue.Token);
            return new OpenBroker(address, connection, watch, BrokerDialect.Of(address, watch.Remote ?? new Open()), tokens, settings, time);
        }
        catch (Exception failure)
        {
            watch.Cut();
            _ = opening.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            cancellation.ThrowIfCancellationRequested();
            throw failure switch
            {
                BrokerException => failure,
                OperationCanceledException => new BrokerException("no answer from the broker", failure),
                AmqpException { Error: var error } when (string?)error?.Condition == "amqp:unauthorized-access" => new BrokerException("the broker refused the credentials", failure),
                AmqpException { Error: var error } => new BrokerException(LinkAttachment.Reason(error), failure),
                System.Security.Authentication.AuthenticationException => new BrokerException("no TLS with the broker: its certificate is not trusted, or it speaks none", failure),
                _ => new BrokerException("no connection", failure),
            };
        }
    }

    /// <summary>A link that sends to the address: one per connection, attached anew when the broker has detached it.</summary>
    /// <exception cref="BrokerException">The broker will not attach it.</exception>
    public async Task<TopicSender> SenderAsync(string address, string entity)
    {
        var sender = _senders.GetOrAdd(address, static (at, to) => new Lazy<Task<TopicSender>>(() => to.Broker.AttachSenderAsync(at, to.Entity)), (Broker: this, Entity: entity));
        try
        {
            var attached = await sender.Value;
            if (!attached.IsClosed)
            {
                return attached;
            }
        }
        catch
        {
            _senders.TryRemove(new KeyValuePair<string, Lazy<Task<TopicSender>>>(address, sender));
            throw;
        }

        _senders.TryRemove(new KeyValuePair<string, Lazy<Task<TopicSender>>>(address, sender));
        return await _senders.GetOrAdd(address, static (at, to) => new Lazy<Task<TopicSender>>(() => to.Broker.AttachSenderAsync(at, to.Entity)), (Broker: this, Entity: entity)).Value;
    }

    /// <summary>A receiver in a session of its own: RabbitMQ ends the session of a link that it refuses. It has no credit yet.</summary>
    /// <exception cref="BrokerException">The broker will not attach it.</exception>
    public async Task<ReceiverLink> ReceiverAsync(string address)
    {
        var (link, _) = await AttachAsync(address, session => (LinkAttachment.Receive(session, LinkAttachment.Durable(address), new Target(), out var attached), attached));
        return link;
    }

    public async ValueTask DisposeAsync()
    {
        _watch.Closing = null;
        if (_security is { } security)
        {
            await security.DisposeAsync();
        }

        await _connection.CloseAsync(CloseWithin, null).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _watch.Cut();
        End("closed");
    }

    private async Task<TopicSender> AttachSenderAsync(string address, string entity)
    {
        var (link, answer) = await AttachAsync(entity, session => (LinkAttachment.Send(session, address, durable: true, out var attached), attached));
        return new TopicSender(link, answer, Dialect, Ended);
    }

    private async Task<(TLink Link, Attach Answer)> AttachAsync<TLink>(string entity, Func<Session, (TLink Link, Task<Attach> Answer)> attach)
        where TLink : Link
    {
        var audience = $"sb://{_address.Host}/{entity}";
        await (_security?.AuthorizeAsync(audience) ?? Task.CompletedTask);
        TLink? link = null;
        try
        {
            var session = new Session(_connection);
            (link, var answer) = attach(session);
            link.AddClosedCallback((_, error) =>
            {
                if ((string?)error?.Condition == "amqp:unauthorized-access")
                {
                    _security?.Forget(audience);
                }

                LinkAttachment.Close(session);
            });
            return (link, await answer.WaitAsync(_answerWithin));
        }
        catch (AmqpException ended)
        {
            throw new BrokerException(LinkAttachment.Reason(ended.Error), ended);
        }
        catch (ObjectDisposedException ended)
        {
            throw new BrokerException("the connection has ended", ended);
        }
        catch (TimeoutException silent)
        {
            LinkAttachment.Close(link);
            LinkAttachment.Close(link?.Session);
            throw new BrokerException("the broker did not answer", silent);
        }
    }

    private void End(string reason)
    {
        if (_ended.TrySetResult(reason))
        {
            // The library waits for the answer to its close; from a peer that is dead none will come.
            _watch.Cut();
        }
    }

    /// <summary>Sees the broker's open frame, and its own library begin to close a connection on which nothing came.</summary>
    private sealed class Watch : IHandler
    {
        private Socket? _socket;

        public Open? Remote { get; private set; }

        public Action? Closing { get; set; }

        public bool CanHandle(LibraryEvent id) => id is LibraryEvent.SocketConnect or LibraryEvent.ConnectionRemoteOpen or LibraryEvent.ConnectionLocalClose;

        public void Handle(Event protocolEvent)
        {
            switch (protocolEvent.Id)
            {
                case LibraryEvent.SocketConnect:
                    _socket = protocolEvent.Context as Socket;
                    break;
                case LibraryEvent.ConnectionRemoteOpen:
                    Remote = protocolEvent.Context as Open;
                    break;
                case LibraryEvent.ConnectionLocalClose when Closing is { } closing:
                    // Not on the thread that holds the library's locks.
                    _ = Task.Run(closing);
                    break;
            }
        }

        public void Cut() => _socket?.Dispose();
    }
}
