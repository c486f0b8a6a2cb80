using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

public sealed class BrokerAddressTests
{
    [Theory]
    [InlineData("https://ns.servicebus.windows.net:443/")]
    [InlineData("sb://ns.servicebus.windows.net/")]
    [InlineData("sb://ns.servicebus.windows.net")]
    [InlineData("ns.servicebus.windows.net")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/")]
    public void A_namespace_without_a_key_is_reached_over_TLS_with_tokens_of_Entra_ID(string given) =>
        Assert.Equal(new BrokerAddress("ns.servicebus.windows.net", 5671, Tls: true, new BrokerCredentials.Entra()), BrokerAddress.Parse(given));

    [Theory]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=a+b/c==")]
    [InlineData(" endpoint = sb://ns.servicebus.windows.net ; sharedaccesskeyname = root ; sharedaccesskey = a+b/c== ; EntityPath = topic ; ")]
    public void A_connection_string_with_a_key_is_reached_over_TLS_with_tokens_signed_by_it(string given) =>
        Assert.Equal(
            new BrokerAddress("ns.servicebus.windows.net", 5671, Tls: true, new BrokerCredentials.SharedAccessKey("root", "a+b/c==")),
            BrokerAddress.Parse(given));

    [Theory]
    [InlineData("Endpoint=sb://localhost:5673;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;", 5673)]
    [InlineData("Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true", 5672)]
    public void The_emulator_speaks_plain_AMQP_on_its_own_port(string given, int port) =>
        Assert.Equal(
            new BrokerAddress("localhost", port, Tls: false, new BrokerCredentials.SharedAccessKey("RootManageSharedAccessKey", "SAS_KEY_VALUE")),
            BrokerAddress.Parse(given));

    [Theory]
    [InlineData("amqp://guest:guest@localhost", 5672, false, "guest", "guest", null)]
    [InlineData("amqp://guest:guest@localhost:5699/", 5699, false, "guest", "guest", null)]
    [InlineData("amqps://guest:guest@localhost", 5671, true, "guest", "guest", null)]
    [InlineData("amqp://us%40er:p%3A%2F%40%25ss@localhost/a%2Fb", 5672, false, "us@er", "p:/@%ss", "a/b")]
    [InlineData("amqp://user:@localhost/%2F", 5672, false, "user", "", "/")]
    public void Any_other_broker_is_reached_with_SASL_PLAIN(string given, int port, bool tls, string user, string password, string? virtualHost) =>
        Assert.Equal(
            new BrokerAddress("localhost", port, tls, new BrokerCredentials.Plain(user, password)) { VirtualHost = virtualHost },
            BrokerAddress.Parse(given));

    [Theory]
    [InlineData("")]
    [InlineData("messaging")]
    [InlineData("http://user:secret@ns.servicebus.windows.net")]
    [InlineData("https://user:secret@ns.servicebus.windows.net")]
    [InlineData("amqp://secret@localhost")]
    [InlineData("amqp://user:se%00cret@localhost")]
    [InlineData("amqp://")]
    [InlineData("redis://:secret@localhost")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKey=secret")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root")]
    [InlineData("Endpoint=secret;SharedAccessKeyName=root;SharedAccessKey=secret")]
    [InlineData("SharedAccessKeyName=root;SharedAccessKey=secret")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=secret;SharedAccessKey=secret")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessSignature=secret")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;secret")]
    public void Anything_else_is_refused_without_telling_what_was_in_it(string given)
    {
        var refused = Assert.Throws<FormatException>(() => BrokerAddress.Parse(given));

        Assert.StartsWith("ConnectionStrings:messaging cannot be used: ", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", refused.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("amqp://user:secret@localhost")]
    [InlineData("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=secret")]
    public void An_address_prints_no_secret(string given)
    {
        var address = BrokerAddress.Parse(given);

        Assert.DoesNotContain("secret", $"{address} {address.Credentials}", StringComparison.Ordinal);
    }

    [Fact]
    public void A_virtual_host_is_told_in_the_open_frame_as_RabbitMQ_expects_it()
    {
        Assert.Equal("vhost:a/b", BrokerAddress.Parse("amqp://u:p@localhost/a%2Fb").OpenHostName);
        Assert.Equal("localhost", BrokerAddress.Parse("amqp://u:p@localhost").OpenHostName);
    }
}
