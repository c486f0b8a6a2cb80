using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Wave16.Neighbours.Tests;

public sealed class HostileBodyTests
{
    const string Gate = "/safety-console/gates/vuln:a:b";
    const string Export = "/control-plane/tenants/acme/exports/vuln-center";

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/json; charset=utf-16")]
    [InlineData("application/jsonp")]
    [InlineData("application/vnd.jgf+json")]
    [InlineData(null)]
    public async Task Another_content_type_is_415_and_says_which_is_taken(string? contentType)
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.SendBytes(HttpMethod.Put, Gate, "{}"u8.ToArray(), "acme", contentType);

        Assert.Equal((415, "content-type"), (refused.Status, refused.Code));
        Assert.Equal("application/json", refused.Headers.GetValues("Accept").Single());
    }

    [Fact]
    public async Task A_compressed_body_is_415_and_says_so()
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.Send(HttpMethod.Put, Gate, "{}", "acme", headers: [("Content-Encoding", "gzip")]);

        Assert.Equal((415, "content-encoding"), (refused.Status, refused.Code));
        Assert.Equal("identity", refused.Headers.GetValues("Accept-Encoding").Single());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("{\"state\":\"blocking\",}")]
    [InlineData("\uFEFF{}")]
    public async Task A_body_that_is_no_object_is_400(string body)
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.Put(Gate, body, "acme");

        Assert.Equal((400, "application/problem+json"), (refused.Status, refused.ContentType));
        Assert.NotEmpty(refused.Refused);
    }

    [Fact]
    public async Task Bad_JSON_is_refused_with_line_and_position()
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.Put(Gate, "{\n  \"state\": \"blocking\",\n  \"title\": oops\n}", "acme");

        Assert.Equal("The body cannot be read at line 3, byte 12 of it.", refused.Text("detail"));
        Assert.Equal(["#/title"], refused.Refused);
    }

    [Fact]
    public async Task Bytes_that_are_not_UTF8_are_refused_with_their_position_and_shown_as_base64()
    {
        await using var host = await NeighbourHost.StartAsync();
        byte[] body = [.. "{\"title\":\""u8, 0xC3, 0x28, .. "\"}"u8];

        var refused = await host.SendBytes(HttpMethod.Put, Gate, body, "acme");

        Assert.Equal(400, refused.Status);
        Assert.Contains("byte 10", refused.Body, StringComparison.Ordinal);
        var call = (await host.Received("safety-console")).GetProperty("items")[0];
        Assert.Equal(("base64", Convert.ToBase64String(body)), (call.GetProperty("bodyEncoding").GetString(), call.GetProperty("body").GetString()));
    }

    [Fact]
    public async Task Ten_thousand_levels_of_nesting_are_refused()
    {
        await using var host = await NeighbourHost.StartAsync();
        var deep = new string('[', 10_000);

        Assert.Equal(400, (await host.Put(Export, $$"""{"items":{{deep}}""")).Status);
    }

    [Fact]
    public async Task Ten_megabytes_are_too_much_for_a_gate_and_shown_truncated()
    {
        await using var host = await NeighbourHost.StartAsync();
        var body = new byte[10 << 20];
        body.AsSpan().Fill((byte)' ');

        var refused = await host.SendBytes(HttpMethod.Put, Gate, body, "acme");

        Assert.Equal((413, "body.too-large"), (refused.Status, refused.Code));
        var call = (await host.Received("safety-console")).GetProperty("items")[0];
        Assert.Equal(10 << 20, call.GetProperty("bodyBytes").GetInt64());
        Assert.True(call.GetProperty("bodyTruncated").GetBoolean());
        Assert.Equal(64 << 10, call.GetProperty("body").GetString()?.Length);
    }

    [Fact]
    public async Task Ten_megabytes_in_chunks_are_too_much_too()
    {
        await using var host = await NeighbourHost.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Put, Gate) { Content = new StreamContent(new MemoryStream(new byte[10 << 20])) };
        request.Headers.TransferEncodingChunked = true;

        using var refused = await host.Client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(413, (int)refused.StatusCode);
    }

    [Fact]
    public async Task Forty_megabytes_are_not_too_much_for_an_export()
    {
        await using var host = await NeighbourHost.StartAsync();
        var item = $$"""{"title":"{{new string('é', 500)}}"}""";
        var body = $$"""{"schemaVersion":"1","asOf":"2025-01-01T00:00:00Z","items":[{{string.Join(',', Enumerable.Repeat(item, 40_000))}}]}""";

        var taken = await host.Put(Export, body);

        Assert.Equal((201, 40_000), (taken.Status, taken.Json.GetProperty("items").GetInt32()));
        var call = (await host.Received("control-plane")).GetProperty("items")[0];
        Assert.Equal("utf-8", call.GetProperty("bodyEncoding").GetString());
        Assert.StartsWith(call.GetProperty("body").GetString() ?? "missing", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_cut_off_by_a_dead_caller_changes_nothing_and_is_recorded_unanswered()
    {
        await using var host = await NeighbourHost.StartAsync();
        using var socket = await host.Connect();
        await socket.GetStream().WriteAsync(
            Encoding.ASCII.GetBytes($"PUT {Export} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"),
            TestContext.Current.CancellationToken);
        using var reader = new StreamReader(socket.GetStream());
        Assert.Equal("HTTP/1.1 100 Continue", await reader.ReadLineAsync(TestContext.Current.CancellationToken));

        socket.Client.Close(0);

        var call = (await host.Received("control-plane", "?waitMs=60000")).GetProperty("items")[0];
        Assert.Equal(JsonValueKind.Null, call.GetProperty("status").ValueKind);
        Assert.Equal(404, (await host.Get(Export)).Status);
    }

    [Fact]
    public async Task A_body_shorter_than_announced_is_on_record_and_changes_nothing()
    {
        await using var host = await NeighbourHost.StartAsync();
        using var socket = await host.Connect();
        await socket.GetStream().WriteAsync(
            Encoding.ASCII.GetBytes($"PUT {Export} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"items\""),
            TestContext.Current.CancellationToken);

        socket.Client.Shutdown(SocketShutdown.Send);

        var call = (await host.Received("control-plane", "?waitMs=60000")).GetProperty("items")[0];
        Assert.Contains(call.GetProperty("status").ToString(), (string[])["", "400"]);
        Assert.Equal(404, (await host.Get(Export)).Status);
    }

    [Fact]
    public async Task A_target_in_absolute_form_names_the_same_gate()
    {
        await using var host = await NeighbourHost.StartAsync();
        const string Body = """{"state":"blocking","severity":"critical","service":"ü","finding":"c","title":"t","url":"https://v.example/","since":"2025-01-01T00:00:00Z"}""";
        var answer = await host.SendRaw(
            $"PUT http://x/safety-console/gates/vuln:%C3%BC:c?http://y/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTenant-Id: acme\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(Body)}\r\n\r\n{Body}");

        Assert.StartsWith("HTTP/1.1 201", answer, StringComparison.Ordinal);
        Assert.Equal("vuln:ü:c", (await host.Get("/safety-console/gates/vuln:%C3%BC:c", "acme")).Text("key"));
    }
}
