using System.Globalization;
using Microsoft.Extensions.Time.Testing;

namespace Wave16.Neighbours.Tests;

/// <summary>The vector is that of the Standard Webhooks reference libraries.</summary>
public sealed class WebhookTests
{
    const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const string Id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const string Payload = """{"test": 2432232314}""";
    const string Signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const string Wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    const long SignedAt = 1614265330;

    static Task<NeighbourHost> StartAsync(string? secret = Secret, long now = SignedAt) =>
        NeighbourHost.StartAsync(time: new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(now)), webhookSecret: secret);

    static Task<Answer> Send(NeighbourHost host, string body = Payload, string? signature = Signature, string id = Id, string? timestamp = null)
    {
        List<(string, string)> headers = [("webhook-id", id), ("webhook-timestamp", timestamp ?? SignedAt.ToString(CultureInfo.InvariantCulture))];
        if (signature is not null)
            headers.Add(("webhook-signature", signature));
        return host.Send(HttpMethod.Post, "/integration-hub/webhooks", body, headers: [.. headers]);
    }

    [Fact]
    public async Task A_webhook_signed_by_the_shared_secret_is_taken()
    {
        await using var host = await StartAsync();

        var taken = await Send(host);

        Assert.Equal(202, taken.Status);
        Assert.True(taken.Json.GetProperty("verified").GetBoolean());
        var kept = Assert.Single((await host.Get("/integration-hub/webhooks")).Items);
        Assert.Equal(2432232314, kept.GetProperty("payload").GetProperty("test").GetInt64());
    }

    [Theory]
    [InlineData($"{Wrong} v2,abc {Signature} {Wrong}", 202)]
    [InlineData(Wrong, 401)]
    [InlineData("v1,", 401)]
    [InlineData("v1", 401)]
    [InlineData("v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 401)]
    [InlineData("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 401)]
    public async Task One_right_signature_among_those_sent_is_enough_and_needed(string signatures, int status)
    {
        await using var host = await StartAsync();

        Assert.Equal(status, (await Send(host, signature: signatures)).Status);
    }

    [Fact]
    public async Task A_changed_body_or_id_breaks_the_signature()
    {
        await using var host = await StartAsync();

        Assert.Equal((401, "webhook.signature"), await StatusAndCode(Send(host, """{"test":2432232314}""")));
        Assert.Equal((401, "webhook.signature"), await StatusAndCode(Send(host, id: "msg_other")));
        Assert.Empty((await host.Get("/integration-hub/webhooks")).Items);
    }

    [Theory]
    [InlineData(SignedAt + 300, 202)]
    [InlineData(SignedAt + 301, 401)]
    [InlineData(SignedAt - 300, 202)]
    [InlineData(SignedAt - 301, 401)]
    public async Task A_webhook_more_than_five_minutes_from_now_is_refused(long now, int status)
    {
        await using var host = await StartAsync(now: now);

        Assert.Equal(status, (await Send(host)).Status);
    }

    [Theory]
    [InlineData("soon")]
    [InlineData("-1")]
    [InlineData("99999999999999999999")]
    public async Task A_timestamp_that_is_no_time_is_refused(string timestamp)
    {
        await using var host = await StartAsync();

        Assert.Equal((401, "webhook.timestamp"), await StatusAndCode(Send(host, timestamp: timestamp)));
    }

    [Fact]
    public async Task A_webhook_without_its_headers_is_refused_with_their_names()
    {
        await using var host = await StartAsync();

        var refused = await host.Post("/integration-hub/webhooks", Payload);

        Assert.Equal(400, refused.Status);
        Assert.Equal(["webhook-id", "webhook-timestamp", "webhook-signature"], refused.Refused);
    }

    [Fact]
    public async Task Without_a_secret_a_webhook_is_taken_and_called_unverified()
    {
        await using var host = await StartAsync(secret: null);

        var taken = await Send(host, signature: null);

        Assert.Equal(202, taken.Status);
        Assert.False(taken.Json.GetProperty("verified").GetBoolean());
    }

    [Fact]
    public async Task A_webhook_sent_again_is_acknowledged_and_kept_once()
    {
        await using var host = await StartAsync();
        await Send(host);

        var again = await Send(host);

        Assert.Equal(202, again.Status);
        Assert.True(again.Json.GetProperty("duplicate").GetBoolean());
        Assert.Single((await host.Get("/integration-hub/webhooks")).Items);
    }

    [Fact]
    public async Task An_id_used_for_another_body_is_422()
    {
        await using var host = await StartAsync(secret: null);
        await Send(host, signature: null);

        Assert.Equal((422, "webhook.id-reused"), await StatusAndCode(Send(host, """{"test":1}""", signature: null)));
    }

    [Theory]
    [InlineData("whsec_short")]
    [InlineData("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa")]
    [InlineData("not base64 !")]
    public async Task A_secret_of_another_shape_stops_the_start(string secret)
    {
        await Assert.ThrowsAsync<FormatException>(() => NeighbourHost.StartAsync(webhookSecret: secret));
    }

    [Fact]
    public async Task A_signed_body_that_is_not_an_object_is_refused()
    {
        await using var host = await StartAsync(secret: null);

        Assert.Equal((400, "body.malformed"), await StatusAndCode(Send(host, "[1]", signature: null)));
    }

    static async Task<(int, string?)> StatusAndCode(Task<Answer> sending) => await sending is var answer ? (answer.Status, answer.Code) : default;
}
