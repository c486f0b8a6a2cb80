using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class PreconditionTests
{
    private sealed record Thing(string Name);

    // Version 7 is current.
    private static Task<Service> Start() => Service.Start(app =>
    {
        app.MapGet("/thing", () => ETagResult.Ok(new Thing("a"), 7)).AllowAnonymous();
        app.MapPost("/thing", () => ETagResult.Created("/thing", new Thing("a"), 1)).AllowAnonymous();
        app.MapPut("/thing", IResult (IfMatch ifMatch) => ifMatch.Check(7) is { } refusal ? refusal.ToResult() : ETagResult.Ok(new Thing("b"), 8)).AllowAnonymous();
    });

    private static async Task<Answer> Put(params (string, string)[] headers)
    {
        await using var service = await Start();
        return await service.Send(HttpMethod.Put, "/thing", token: null, content: null, headers);
    }

    [Theory]
    [InlineData("\"7\"")]
    [InlineData(" \"7\" ")]
    [InlineData("*")]
    public async Task A_change_of_the_current_version_goes_through(string tag)
    {
        var answer = await Put(("If-Match", tag));

        Assert.Equal((200, "\"8\""), (answer.Status, answer.Headers["ETag"]));
    }

    [Theory]
    [InlineData("\"6\"")]
    [InlineData("\"8\"")]
    [InlineData("W/\"7\"")]
    [InlineData("\"abc\"")]
    [InlineData("\"-1\"")]
    [InlineData("\"\"")]
    [InlineData("\"99999999999999999999\"")]
    public async Task A_change_of_another_version_is_a_412(string tag)
    {
        var answer = await Put(("If-Match", tag));

        Assert.Equal((412, "precondition.failed"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task A_change_without_If_Match_is_a_428()
    {
        var answer = await Put();

        Assert.Equal((428, "precondition.required"), (answer.Status, answer.Problem()));
    }

    [Theory]
    [InlineData("7")]
    [InlineData("\"7")]
    [InlineData("\"7\", \"8\"")]
    [InlineData("w/\"7\"")]
    [InlineData("\"")]
    public async Task An_If_Match_that_is_not_one_entity_tag_is_a_400(string tag)
    {
        var answer = await Put(("If-Match", tag));

        Assert.Equal((400, "request.invalid"), (answer.Status, answer.Problem()));
        Assert.Equal(["If-Match must be * or one entity tag, for example \"7\""], answer.Errors());
    }

    [Theory]
    [InlineData("\"7\"", 304)]
    [InlineData("W/\"7\"", 304)]
    [InlineData("\"6\", \"7\"", 304)]
    [InlineData("*", 304)]
    [InlineData("\"6\"", 200)]
    public async Task A_version_the_caller_has_is_not_sent_again(string tag, int status)
    {
        await using var service = await Start();

        var answer = await service.Get("/thing", token: null, ("If-None-Match", tag));

        Assert.Equal((status, "\"7\"", status == 200 ? """{"name":"a"}""" : ""), (answer.Status, answer.Headers["ETag"], answer.Body));
    }

    [Fact]
    public async Task A_new_entity_says_where_it_is_and_its_version()
    {
        await using var service = await Start();

        var answer = await service.Send(HttpMethod.Post, "/thing");

        Assert.Equal((201, "\"1\"", "/thing"), (answer.Status, answer.Headers["ETag"], answer.Headers["Location"]));
    }
}
