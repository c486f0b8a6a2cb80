using System.Globalization;
using System.Text;

namespace Wave16.Platform.Events.Amqp;

/// <summary>How a connection proves who it is. None of them prints its secret.</summary>
internal abstract record BrokerCredentials
{
    private BrokerCredentials()
    {
    }

    /// <summary>SASL PLAIN (RFC 4616).</summary>
    public sealed record Plain(string User, string Password) : BrokerCredentials
    {
        public override string ToString() => "SASL PLAIN";
    }

    /// <summary>A shared access key of Azure Service Bus: tokens are signed with it and put to <c>$cbs</c>.</summary>
    public sealed record SharedAccessKey(string Name, string Key) : BrokerCredentials
    {
        public override string ToString() => "shared access key";
    }

    /// <summary>Tokens of Entra ID for the process's own identity, put to <c>$cbs</c>.</summary>
    public sealed record Entra : BrokerCredentials;

    /// <summary>SASL ANONYMOUS.</summary>
    public sealed record Anonymous : BrokerCredentials;
}

/// <summary>
/// Where the broker is and how to get in, read from <c>ConnectionStrings:messaging</c>: the endpoint of an Azure Service Bus
/// namespace (Entra ID), a Service Bus connection string with a shared access key, its emulator's, or <c>amqp://</c> and <c>amqps://</c>
/// of any other AMQP 1.0 broker.
/// </summary>
internal sealed record BrokerAddress(string Host, int Port, bool Tls, BrokerCredentials Credentials)
{
    /// <summary>The name the setting and the health report go by.</summary>
    public const string Name = "messaging";

    private const int PlainPort = 5672;
    private const int TlsPort = 5671;

    private const string Expected =
        "expected is the endpoint of a Service Bus namespace (https://….servicebus.windows.net), a Service Bus connection string (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…), or amqp://user:password@host:port/vhost, percent-encoded";

    /// <summary>RabbitMQ's virtual host; null is the default one.</summary>
    public string? VirtualHost { get; init; }

    /// <summary>Tokens are put to <c>$cbs</c>, and entities are addressed as Service Bus does.</summary>
    public bool IsServiceBus => Credentials is BrokerCredentials.SharedAccessKey or BrokerCredentials.Entra;

    /// <summary>The host name of the open frame: how RabbitMQ is told the virtual host.</summary>
    public string OpenHostName => VirtualHost is { } vhost ? $"vhost:{vhost}" : Host;

    /// <exception cref="FormatException">Not one of the known forms. The message holds nothing of the value.</exception>
    public static BrokerAddress Parse(string value)
    {
        value = value.Trim();
        var (equals, scheme) = (value.IndexOf('=', StringComparison.Ordinal), value.IndexOf("://", StringComparison.Ordinal));
        return equals >= 0 && (scheme < 0 || equals < scheme)
            ? FromParts(value)
            : FromUri(scheme >= 0 ? value : $"sb://{value}");
    }

    /// <summary>Without credentials.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(Tls ? "amqps" : "amqp")}://{Host}:{Port}");

    private static BrokerAddress FromUri(string value)
    {
        if (!Uri.TryCreate(value, UriKind.Absolute, out var uri) || uri.Host.Length == 0)
        {
            throw Malformed("it is not an address");
        }

        switch (uri.Scheme)
        {
            case "amqp" or "amqps":
                var tls = uri.Scheme == "amqps";
                return new BrokerAddress(uri.Host, uri.Port > 0 ? uri.Port : tls ? TlsPort : PlainPort, tls, Login(uri.UserInfo))
                {
                    VirtualHost = Unescaped(uri.AbsolutePath[1..]) is { Length: > 0 } vhost ? vhost : null,
                };
            case "sb" or "https" when uri.UserInfo.Length > 0:
                throw Malformed("a Service Bus endpoint carries no user");
            case "sb" or "https":
                // The port of the endpoint is HTTPS's; AMQP has its own.
                return uri.Host.Contains('.', StringComparison.Ordinal)
                    ? new BrokerAddress(uri.Host, TlsPort, Tls: true, new BrokerCredentials.Entra())
                    : throw Malformed("it names no Service Bus namespace");
            default:
                throw Malformed("its scheme is unknown");
        }
    }

    private static BrokerCredentials Login(string userInfo)
    {
        if (userInfo.Length == 0)
        {
            return new BrokerCredentials.Anonymous();
        }

        var colon = userInfo.IndexOf(':', StringComparison.Ordinal);
        return colon > 0
            ? new BrokerCredentials.Plain(Unescaped(userInfo[..colon]), Unescaped(userInfo[(colon + 1)..]))
            : throw Malformed("it has a user without a password");
    }

    private static string Unescaped(string text)
    {
        var unescaped = Uri.UnescapeDataString(text);
        // SASL PLAIN separates its fields with NUL.
        return unescaped.Contains('\0', StringComparison.Ordinal) ? throw Malformed("it contains a NUL") : unescaped;
    }

    private static BrokerAddress FromParts(string value)
    {
        var parts = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var part in value.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            // A key ends in '=' signs of its own.
            var equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !parts.TryAdd(part[..equals].TrimEnd(), part[(equals + 1)..].TrimStart()))
            {
                throw Malformed("its parts are not name=value, each once");
            }
        }

        if (!Uri.TryCreate(parts.GetValueOrDefault("Endpoint"), UriKind.Absolute, out var endpoint) || endpoint.Scheme is not ("sb" or "https" or "amqp" or "amqps") || endpoint.Host.Length == 0)
        {
            throw Malformed("it has no Endpoint=sb://…");
        }

        var (name, key) = (parts.GetValueOrDefault("SharedAccessKeyName"), parts.GetValueOrDefault("SharedAccessKey"));
        BrokerCredentials credentials = (name, key) switch
        {
            ({ Length: > 0 }, { Length: > 0 }) => new BrokerCredentials.SharedAccessKey(name, key),
            (null, null) => new BrokerCredentials.Entra(),
            _ => throw Malformed("SharedAccessKeyName and SharedAccessKey go together"),
        };
        if (parts.ContainsKey("SharedAccessSignature"))
        {
            throw Malformed("a ready-made SharedAccessSignature expires and cannot be renewed; give the key or use Entra ID");
        }

        var emulator = bool.TryParse(parts.GetValueOrDefault("UseDevelopmentEmulator"), out var isEmulator) && isEmulator;
        return emulator
            ? new BrokerAddress(endpoint.Host, endpoint.Port > 0 ? endpoint.Port : PlainPort, Tls: false, credentials)
            : new BrokerAddress(endpoint.Host, TlsPort, Tls: true, credentials);
    }

    private static FormatException Malformed(string why) => new(new StringBuilder("ConnectionStrings:").Append(Name).Append(" cannot be used: ").Append(why).Append("; ").Append(Expected).Append('.').ToString());
}
