using System.Buffers.Text;
using CsCheck;
using Microsoft.AspNetCore.Builder;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class PagingTests
{
    private sealed record Position(DateTimeOffset At, int Id);

    private static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    // A keyset query over the numbers from 1, as a store would write it.
    private static Task<Service> Numbers(List<int> numbers) => Service.Start(app =>
    {
        app.MapGet("/numbers", Microsoft.AspNetCore.Http.IResult (PageRequest page, Caller _) =>
        {
            if (page.ReadCursor<Position>(out var after) is { } refusal)
                return refusal.ToResult();
            var rows = numbers.Order().Where(n => after is null || n > after.Id).Take(page.Limit + 1).ToList();
            return Microsoft.AspNetCore.Http.TypedResults.Ok(page.ToPage(rows, n => new Position(Start.AddSeconds(n), n)));
        }).RequireAuthorization();
        app.MapGet("/others", (PageRequest page) => page.ReadCursor<Position>(out _)?.ToResult()).RequireAuthorization();
    });

    [Fact]
    public async Task Pages_follow_one_another_to_the_end_also_under_inserts()
    {
        List<int> numbers = [10, 20, 30, 40, 50];
        await using var service = await Numbers(numbers);
        var token = await service.Token("acme", "x");

        var first = (await service.Get("/numbers?limit=2", token)).Json;
        numbers.Add(5);
        numbers.Add(35);
        var second = (await service.Get("/numbers?limit=3&cursor=" + first.GetProperty("next").GetString(), token)).Json;
        var third = await service.Get("/numbers?limit=3&cursor=" + second.GetProperty("next").GetString(), token);

        Assert.Equal("[10,20]", first.GetProperty("items").GetRawText());
        Assert.Equal("[30,35,40]", second.GetProperty("items").GetRawText());
        Assert.Equal("""{"items":[50],"next":null}""", third.Body);
    }

    [Fact]
    public async Task A_page_has_50_items_unless_told_and_the_last_one_may_be_full()
    {
        await using var service = await Numbers([.. Enumerable.Range(1, 100)]);
        var token = await service.Token("acme", "x");

        var first = (await service.Get("/numbers", token)).Json;
        var second = (await service.Get("/numbers?cursor=" + first.GetProperty("next").GetString(), token)).Json;

        Assert.Equal((50, 50), (first.GetProperty("items").GetArrayLength(), second.GetProperty("items").GetArrayLength()));
        Assert.Equal(System.Text.Json.JsonValueKind.Null, second.GetProperty("next").ValueKind);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("501")]
    [InlineData("-1")]
    [InlineData("")]
    [InlineData("ten")]
    [InlineData("99999999999")]
    [InlineData("5&limit=6")]
    public async Task A_limit_out_of_range_is_refused_by_name(string limit)
    {
        await using var service = await Numbers([]);

        var answer = await service.Get("/numbers?limit=" + limit, await service.Token("acme", "x"));

        Assert.Equal((400, "request.invalid"), (answer.Status, answer.Problem()));
        Assert.Equal(["?limit must be a whole number from 1 to 500"], answer.Errors());
    }

    [Theory]
    [InlineData("/numbers?status=open&cursor=", "acme")]
    [InlineData("/numbers?sort=age&cursor=", "acme")]
    [InlineData("/others?cursor=", "acme")]
    [InlineData("/numbers?cursor=", "other")]
    public async Task A_cursor_does_not_go_on_with_other_filters_another_list_or_another_tenant(string path, string tenant)
    {
        await using var service = await Numbers([1, 2, 3]);
        var next = (await service.Get("/numbers?limit=1", await service.Token("acme", "x"))).Json.GetProperty("next").GetString();

        var answer = await service.Get(path + next, await service.Token(tenant, "x"));

        Assert.Equal((400, "cursor.filters-changed"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task The_order_of_parameters_is_not_a_filter()
    {
        await using var service = await Numbers([1, 2]);
        var token = await service.Token("acme", "x");
        var next = (await service.Get("/numbers?b=2&a=1&limit=1", token)).Json.GetProperty("next").GetString();

        Assert.Equal(200, (await service.Get($"/numbers?cursor={next}&a=1&b=2", token)).Status);
    }

    [Fact]
    public void A_cursor_with_any_byte_changed_is_refused()
    {
        var cursor = Base64Url.DecodeFromChars(PageCursor.Encode(new Position(Start, 7), "f"));

        Gen.Select(Gen.Int[0, cursor.Length - 1], Gen.Int[1, 255]).Sample((at, flip) =>
        {
            var changed = cursor.ToArray();
            changed[at] ^= (byte)flip;
            return PageCursor.Decode<Position>(Base64Url.EncodeToString(changed), "f", out _)?.Code == "cursor.invalid";
        }, iter: 2000);
    }

    [Fact]
    public void Any_text_at_all_is_refused_as_a_cursor() =>
        Gen.String.Sample(text => PageCursor.Decode<Position>(text, "f", out _)?.Code == "cursor.invalid", iter: 5000);

    [Fact]
    public void Any_position_comes_back_as_it_went() =>
        Gen.Select(Gen.DateTimeOffset, Gen.Int, Gen.String).Sample(
            (at, id, filters) => PageCursor.Decode<Position>(PageCursor.Encode(new Position(at, id), filters), filters, out var back) is null && back == new Position(at, id), iter: 2000);

    [Fact]
    public void A_cursor_of_unreasonable_length_is_not_even_decoded() =>
        Assert.Equal("cursor.invalid", PageCursor.Decode<Position>(new string('A', 1_000_000), "f", out _)?.Code);
}
