using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Cvss;

public sealed class CvssEndpointTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_client_gets_a_result_for_each_vector_in_order_with_its_versions_scores_or_its_error()
    {
        using var http = await host.OperatorAsync("cvss-client");

        var results = await new VulnCenterClient(http).ScoreAsync(
            [V4 + "/E:U/CR:L/IR:L/AR:L", "CVSS:3.1/S:U/AV:N/AC:L/PR:N/UI:N/C:H/I:H/A:H/RL:O", "nothing", "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:3.0/AV:N"], Cancellation);

        Assert.Equal(
        [
            new(0, "4.0", V4 + "/E:U/CR:L/IR:L/AR:L", new VectorScores(9.3m, Threat: 8.1m, Environmental: 6.5m), 6.5m, Severity.Medium),
            new(1, "3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/RL:O", new VectorScores(9.8m, Temporal: 9.4m), 9.4m, Severity.Critical),
            new(2, Error: new VectorError(0, "is not a metric and its value, joined by ':'")),
            new(3, "2.0", "AV:N/AC:L/Au:N/C:C/I:C/A:C", new VectorScores(10.0m), 10.0m, Severity.High),
            new(4, Error: new VectorError(13, "AC is missing")),
        ], results);
    }

    [Fact]
    public async Task Scores_are_written_with_one_decimal_always() => Assert.Equal(
        """{"results":[{"index":0,"version":"3.1","vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H","scores":{"base":10.0},"score":10.0,"severity":"critical"},{"index":1,"error":{"position":0,"reason":"is empty"}}]}""",
        await TextAsync("""{"vectors":["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",""]}"""));

    [Fact]
    public async Task What_is_not_a_string_is_an_error_in_its_place_and_the_others_are_scored()
    {
        var results = await ResultsAsync($$$"""{"vectors":[1,null,true,["{{{V4}}}",[2]],{"vectors":["x"],"a":{}},"{{{V4}}}"]}""");

        Assert.Equal(
            ["is a number, not a string", "is null, not a string", "is a boolean, not a string", "is an array, not a string", "is an object, not a string", null],
            results.Select(result => result.Error?.Reason));
        Assert.Equal((5, 9.3m), (results[5].Index, results[5].Score));
    }

    [Fact]
    public async Task Escapes_are_read_as_what_they_stand_for()
    {
        var results = await ResultsAsync($$"""{"vectors":["{{V4.Replace("/", @"\/", StringComparison.Ordinal)}}","\u0043{{V4[1..]}}","\ud800{{V4}}","{{V4}}\ud83d\ude00"]}""");

        Assert.Equal([9.3m, 9.3m, null, null], results.Select(result => result.Score));
        Assert.Equal([null, null, new VectorError(0, "is not valid Unicode"), 62], results.Select(result => result.Error is { Position: > 0 } error ? (object)error.Position : result.Error));
    }

    [Fact]
    public async Task Text_that_is_not_utf_8_is_an_error_in_its_place()
    {
        var body = Encoding.Latin1.GetBytes($$"""{"vectors":["CVSS:3.1/AV:ÿ","é\/","{{V4}}"]}""");
        using var answer = await PostAsync(new ByteArrayContent(body));
        var results = (await answer.ReadAsync<ScoredVectors>()).Results;

        Assert.Equal([12, 0, null], results.Select(result => result.Error?.Position));
        Assert.Equal(9.3m, results[2].Score);
    }

    [Fact]
    public async Task A_string_longer_than_any_vector_is_an_error_in_its_place()
    {
        var results = await ResultsAsync($$"""{"vectors":["{{new string('A', 513)}}","{{new string('/', 60_000)}}","{{string.Concat(Enumerable.Repeat(@"\/", 2_000))}}","{{V4}}"]}""");

        Assert.Equal([512, 512, 512, null], results.Select(result => result.Error?.Position));
        Assert.Equal(9.3m, results[3].Score);
    }

    [Fact]
    public async Task A_string_that_is_too_long_to_be_passed_over_refuses_the_request_where_it_stands()
    {
        foreach (var length in (int[])[65_537, 1_000_000, 5_000_000])
        {
            using var answer = await PostAsync(new StringContent($$"""{"vectors":["{{V4}}","{{new string('A', length)}}"]}"""));
            Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "request.too-large", "/vectors/1"), await RefusalAsync(answer));
        }
    }

    [Fact]
    public async Task Two_hundred_thousand_vectors_are_scored_in_one_request()
    {
        var vectors = Grammar.V4.AllBase().Concat(Grammar.V4.AllBase()).Take(200_000).ToList();
        using var http = await host.OperatorAsync("cvss-many");

        var results = await new VulnCenterClient(http).ScoreAsync(vectors, Cancellation);

        Assert.Equal(Enumerable.Range(0, 200_000), results.Select(result => result.Index));
        Assert.Equal(vectors, results.Select(result => result.Vector));
    }

    [Fact]
    public async Task One_vector_more_is_refused_as_a_whole()
    {
        using var http = await host.OperatorAsync("cvss-too-many");
        var client = new VulnCenterClient(http);
        var refused = await Assert.ThrowsAsync<VulnCenterException>(() => client.ScoreAsync([.. Enumerable.Repeat("", 200_001)], Cancellation));
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "cvss.too-many-vectors"), (refused.Status, refused.Code));
        Assert.Equal(9.3m, (await client.ScoreAsync([V4], Cancellation))[0].Score);

        using var answer = await PostAsync(new StringContent($$"""{"vectors":[{{string.Join(',', Enumerable.Repeat("0", 200_001))}}]}"""));
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "cvss.too-many-vectors", "/vectors/200000"), await RefusalAsync(answer));
    }

    [Fact]
    public async Task No_vectors_have_no_results() => Assert.Equal("""{"results":[]}""", await TextAsync("""{"vectors":[]}"""));

    [Theory]
    [InlineData("", "request.malformed", "")]
    [InlineData("{\"vectors\":[\"A\",", "request.malformed", "/vectors/1")]
    [InlineData("{\"vectors\":[\"A\"]", "request.malformed", "")]
    [InlineData("{\"vectors\":[]} x", "request.malformed", "")]
    [InlineData("{\"vectors\":[\"A\" \"B\"]}", "request.malformed", "/vectors/1")]
    [InlineData("{}", "request.invalid", "/vectors")]
    [InlineData("{\"Vectors\":[]}", "request.invalid", "/Vectors")]
    [InlineData("{\"vectors\":[],\"a/b\":[]}", "request.invalid", "/a~1b")]
    [InlineData("{\"\\ud800vectors\":[]}", "request.invalid", "/\\ud800vectors")]
    [InlineData("[]", "request.invalid", "")]
    [InlineData("\"CVSS:4.0\"", "request.invalid", "")]
    [InlineData("{\"vectors\":null}", "request.invalid", "/vectors")]
    [InlineData("{\"vectors\":{\"0\":\"A\"}}", "request.invalid", "/vectors")]
    [InlineData("{\"vectors\":[],\"vectors\":[]}", "request.invalid", "/vectors")]
    public async Task A_body_that_is_not_a_list_of_vectors_is_refused_with_the_place(string body, string code, string pointer)
    {
        using var answer = await PostAsync(new StringContent(body));
        Assert.Equal((HttpStatusCode.BadRequest, code, pointer), await RefusalAsync(answer));
    }

    [Fact]
    public async Task A_deeply_nested_body_is_refused()
    {
        using var answer = await PostAsync(new StringContent("{\"vectors\":[" + new string('[', 5_000)));
        Assert.Equal((HttpStatusCode.BadRequest, "request.malformed", "/vectors/1"), await RefusalAsync(answer));
    }

    [Fact]
    public async Task However_the_body_is_cut_into_pieces_the_results_are_the_same()
    {
        var body = $$"""{"vectors":["{{V4}}", 12345 ,"\u0043{{V4[1..]}}",["x"],"AV:é", "CVSS:3.1\/AV:N"]}""";
        var whole = await TextAsync(body);
        using var answer = await PostAsync(new Pieces(Encoding.UTF8.GetBytes(body)));

        Assert.Equal(whole, await answer.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(6, (await answer.ReadAsync<ScoredVectors>()).Results.Count);
    }

    [Fact]
    public async Task Requests_at_the_same_time_do_not_mix()
    {
        var lists = Enumerable.Range(0, 8).Select(i => Grammar.V31.AllBase().Skip(i * 300).Take(300).ToList()).ToList();
        using var http = await host.OperatorAsync("cvss-parallel");
        var client = new VulnCenterClient(http);

        var answers = await Task.WhenAll(lists.Select(list => client.ScoreAsync(list, Cancellation)));

        Assert.Equal(lists.SelectMany(list => list), answers.SelectMany(results => results.Select(result => result.Vector)));
    }

    [Fact]
    public async Task Who_may_not_read_findings_may_not_score()
    {
        using var http = await host.Module.ClientAsync("cvss-none", Cancellation);
        using var content = new StringContent("""{"vectors":[]}""", new MediaTypeHeaderValue("application/json"));
        using var answer = await http.PostAsync(new Uri("/cvss", UriKind.Relative), content, Cancellation);
        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
    }

    private async Task<string> TextAsync(string body)
    {
        using var answer = await PostAsync(new StringContent(body));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return await answer.Content.ReadAsStringAsync(Cancellation);
    }

    private async Task<IReadOnlyList<ScoredVector>> ResultsAsync(string body)
    {
        using var answer = await PostAsync(new StringContent(body));
        return (await answer.ReadAsync<ScoredVectors>()).Results;
    }

    private async Task<HttpResponseMessage> PostAsync(HttpContent content)
    {
        using var http = await host.OperatorAsync("cvss");
        using (content)
        {
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            return await http.PostAsync(new Uri("/cvss", UriKind.Relative), content, Cancellation);
        }
    }

    private static async Task<(HttpStatusCode Status, string? Code, string? Pointer)> RefusalAsync(HttpResponseMessage answer)
    {
        var problem = await answer.ReadAsync<JsonElement>();
        return (answer.StatusCode, problem.GetProperty("code").GetString(), problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
    }

    /// <summary>Sends a few bytes at a time.</summary>
    private sealed class Pieces(byte[] body) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            for (var i = 0; i < body.Length; i += 3)
            {
                await stream.WriteAsync(body.AsMemory(i, Math.Min(3, body.Length - i)), Cancellation);
                await stream.FlushAsync(Cancellation);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
