using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using Amqp;
using Amqp.Framing;
using Amqp.Listener;
using RequestContext = Amqp.Listener.RequestContext;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>
/// What Azure Service Bus does at its door: SASL ANONYMOUS, then a token at <c>$cbs</c> that it verifies itself, and no link to an
/// entity without one for it, nor beyond its life. Behind the door it keeps what was
/// published, gives receivers what the test says, and keeps how they settled it.
/// </summary>
internal sealed class FakeServiceBus : IRequestProcessor, ILinkProcessor, IMessageProcessor, IMessageSource, IDisposable
{
    public const string KeyName = "RootManageSharedAccessKey";
    public const string Key = "SAS_KEY_VALUE";

    private readonly ContainerHost _host;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<string, DateTimeOffset> _authorized = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<ListenerLink, string> _links = new();
    private readonly ConcurrentBag<ITimer> _timers = [];
    private readonly Channel<PutToken> _tokens = Channel.CreateUnbounded<PutToken>();
    private readonly Channel<Message> _published = Channel.CreateUnbounded<Message>();
    private readonly Channel<Message> _waiting = Channel.CreateUnbounded<Message>();
    private readonly Channel<DeliveryState> _settled = Channel.CreateUnbounded<DeliveryState>();
    private readonly ConcurrentDictionary<string, byte> _silenced = new(StringComparer.Ordinal);
    private volatile bool _silent;
    private int _receivers;
    private int _given;
    private int _taken;

    /// <param name="time">Of which tokens expire.</param>
    /// <param name="hasSecurity">Knows <c>$cbs</c>.</param>
    public FakeServiceBus(TimeProvider time, bool hasSecurity = true)
    {
        _time = time;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            Port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        _host = new ContainerHost(new Address("127.0.0.1", Port, null, null, "/", "AMQP"));
        _host.Listeners[0].SASL.EnableAnonymousMechanism = true;
        if (hasSecurity)
        {
            _host.RegisterRequestProcessor("$cbs", this);
        }

        _host.RegisterLinkProcessor(this);
        _host.Open();
    }

    public int Port { get; }

    public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"Endpoint=sb://127.0.0.1:{Port};SharedAccessKeyName={KeyName};SharedAccessKey={Key};UseDevelopmentEmulator=true;");

    /// <summary>The only token of Entra ID that it takes.</summary>
    public string? Jwt { get; init; }

    /// <summary>From now on every token is refused.</summary>
    public bool Refuses { get; set; }

    /// <summary>From now on every link is refused.</summary>
    public bool RefusesLinks { get; set; }

    /// <summary>From now on no link is answered.</summary>
    public bool IgnoresLinks { get; set; }

    /// <summary>From now on the <c>$cbs</c> that is attached answers no more, for ever. One that is attached anew does.</summary>
    public void SilenceSecurity() => _silent = true;

    /// <summary>From now on every receiver is attached, and detached at once.</summary>
    public bool DropsReceivers { get; set; }

    /// <summary>How often a receiver has asked to be attached.</summary>
    public int Receivers => Volatile.Read(ref _receivers);

    /// <summary>Messages that a new sender may send before it is given more.</summary>
    public int SenderCredit { get; init; } = 100;

    int IRequestProcessor.Credit => 100;

    int IMessageProcessor.Credit => 100;

    /// <summary>The next token that was put, taken or not.</summary>
    public Task<PutToken> NextTokenAsync() => _tokens.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().Soon();

    public Task<Message> NextMessageAsync() => _published.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().Soon();

    public void Process(RequestContext requestContext)
    {
        var request = requestContext.Message;
        if (_silent)
        {
            _silenced[request.Properties.ReplyTo] = 0;
            _silent = false;
        }

        if (_silenced.ContainsKey(request.Properties.ReplyTo))
        {
            return;
        }

        var put = new PutToken(
            (string)request.ApplicationProperties["operation"], (string)request.ApplicationProperties["type"], (string)request.ApplicationProperties["name"], (string)request.Body);
        var status = !Refuses && IsValid(put) ? 202 : 401;
        if (status == 202)
        {
            var expires = new DateTimeOffset((DateTime)request.ApplicationProperties["expiration"], TimeSpan.Zero);
            _authorized[put.Audience] = expires;
            _timers.Add(_time.CreateTimer(_ => Expire(put.Audience), null, expires - _time.GetUtcNow(), Timeout.InfiniteTimeSpan));
        }

        var answer = new Message { ApplicationProperties = new ApplicationProperties() };
        answer.ApplicationProperties["status-code"] = status;
        requestContext.Complete(answer);
        _tokens.Writer.TryWrite(put);
    }

    public void Process(AttachContext attachContext)
    {
        var entity = attachContext.Attach.Role ? ((Source)attachContext.Attach.Source).Address : ((Target)attachContext.Attach.Target).Address;
        var audience = $"sb://127.0.0.1/{entity}";
        if (!_authorized.ContainsKey(audience))
        {
            attachContext.Complete(new Error(global::Amqp.ErrorCode.UnauthorizedAccess) { Description = "no token" });
            return;
        }

        if (attachContext.Attach.Role)
        {
            Interlocked.Increment(ref _receivers);
        }

        if (IgnoresLinks)
        {
            return;
        }

        if (RefusesLinks)
        {
            attachContext.Complete(new Error("com.microsoft:server-busy") { Description = "later" });
            return;
        }

        _links[attachContext.Link] = audience;
        if (!attachContext.Attach.Role)
        {
            attachContext.Complete(new TargetLinkEndpoint(this, attachContext.Link), SenderCredit);
            return;
        }

        attachContext.Complete(new SourceLinkEndpoint(this, attachContext.Link), 0);
        if (DropsReceivers)
        {
            attachContext.Link.Close(TimeSpan.Zero, new Error("com.microsoft:entity-disabled") { Description = "not now" });
        }
    }

    /// <summary>To whatever receiver there is.</summary>
    public void Send(Message message) => _waiting.Writer.TryWrite(message);

    /// <summary>How the next message was settled.</summary>
    public Task<DeliveryState> NextOutcomeAsync() => _settled.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().Soon();

    /// <summary>Messages that were given to receivers and are not settled.</summary>
    public int InHand => Volatile.Read(ref _given) - Volatile.Read(ref _taken);

    /// <summary>Until that many messages have been given to receivers.</summary>
    public async Task GivenAsync(int messages)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(2));
        while (Volatile.Read(ref _given) < messages)
        {
            await again.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }
    }

    public async Task<ReceiveContext> GetMessageAsync(ListenerLink link)
    {
        var message = await _waiting.Reader.ReadAsync(TestContext.Current.CancellationToken);
        if (!_links.ContainsKey(link) || link.IsClosed)
        {
            // Asked for by a link that has ended meanwhile: the next one gets it.
            Send(message);
            await Task.Delay(Timeout.Infinite, TestContext.Current.CancellationToken);
        }

        Interlocked.Increment(ref _given);
        return new ReceiveContext(link, message);
    }

    public void DisposeMessage(ReceiveContext receiveContext, DispositionContext dispositionContext)
    {
        Interlocked.Increment(ref _taken);
        _settled.Writer.TryWrite(dispositionContext.DeliveryState);
        dispositionContext.Complete();
    }

    /// <summary>All senders may send again.</summary>
    public void GiveCredit()
    {
        foreach (var (link, _) in _links.Where(open => open.Key.Role))
        {
            link.SetCredit(100, drain: false);
        }
    }

    public void Process(MessageContext messageContext)
    {
        messageContext.Complete();
        _published.Writer.TryWrite(messageContext.Message);
    }

    /// <summary>Detaches what the audience's token opened, and remembers none for it.</summary>
    public void Withdraw(string audience)
    {
        _authorized.TryRemove(audience, out _);
        foreach (var (link, _) in _links.Where(open => open.Value == audience))
        {
            if (_links.TryRemove(link, out _))
            {
                link.Close(TimeSpan.Zero, new Error(global::Amqp.ErrorCode.UnauthorizedAccess) { Description = "the token is not honoured" });
            }
        }
    }

    public void Dispose()
    {
        foreach (var timer in _timers)
        {
            timer.Dispose();
        }

        _host.Close();
    }

    private void Expire(string audience)
    {
        if (_authorized.TryGetValue(audience, out var expires) && expires <= _time.GetUtcNow())
        {
            Withdraw(audience);
        }
    }

    private bool IsValid(PutToken put) => put switch
    {
        { Operation: "put-token", Type: "jwt" } => put.Token == Jwt,
        { Operation: "put-token", Type: "servicebus.windows.net:sastoken" } => IsSigned(put),
        _ => false,
    };

    private bool IsSigned(PutToken put)
    {
        const string Scheme = "SharedAccessSignature ";
        if (!put.Token.StartsWith(Scheme, StringComparison.Ordinal))
        {
            return false;
        }

        var parts = put.Token[Scheme.Length..].Split('&').Select(part => part.Split('=', 2)).ToDictionary(part => part[0], part => part[1], StringComparer.Ordinal);
        var signature = Convert.ToBase64String(HMACSHA256.HashData(Encoding.UTF8.GetBytes(Key), Encoding.UTF8.GetBytes($"{parts["sr"]}\n{parts["se"]}")));
        return Uri.UnescapeDataString(parts["sig"]) == signature && parts["skn"] == KeyName && Uri.UnescapeDataString(parts["sr"]) == put.Audience
            && DateTimeOffset.FromUnixTimeSeconds(long.Parse(parts["se"], CultureInfo.InvariantCulture)) > _time.GetUtcNow();
    }
}

internal sealed record PutToken(string Operation, string Type, string Audience, string Token);
