using Microsoft.Extensions.Time.Testing;

namespace Wave16.Neighbours.Tests;

public sealed class IntegrationHubTests
{
    const string Jira = "/integration-hub/connectors/jira/tickets";
    const string Ticket = """{"title":"CVE-2024-1 in payments","description":"d","severity":"critical","url":"https://v.example/findings/1","project":"PAY","labels":["vuln"]}""";

    [Fact]
    public async Task A_ticket_has_a_link_and_a_state_that_can_be_read()
    {
        await using var host = await NeighbourHost.StartAsync();

        var created = await host.Post(Jira, Ticket, "acme", "k1");

        Assert.Equal(201, created.Status);
        Assert.Equal("PAY-1", created.Text("id"));
        Assert.Equal(created.Text("link"), created.Headers.Location?.ToString());
        var read = await host.Get(created.Text("link") ?? "");
        Assert.Equal(("open", "CVE-2024-1 in payments"), (read.Text("state"), read.Text("title")));
    }

    [Fact]
    public async Task The_same_key_and_body_gets_the_same_answer_and_one_ticket()
    {
        await using var host = await NeighbourHost.StartAsync();
        var first = await host.Post(Jira, Ticket, "acme", "k1");
        await host.Put($"{Jira}/PAY-1/state", """{"state":"closed"}""");

        var again = await host.Post(Jira, Ticket, "acme", "k1");

        Assert.Equal((first.Status, first.Body, first.Headers.Location), (again.Status, again.Body, again.Headers.Location));
        Assert.Single((await host.Get(Jira)).Items);
    }

    [Fact]
    public async Task The_same_key_with_another_body_is_422()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Post(Jira, Ticket, "acme", "k1");

        var other = await host.Post(Jira, """{"title":"another"}""", "acme", "k1");

        Assert.Equal((422, "idempotency.key-reused"), (other.Status, other.Code));
        Assert.Equal(["Idempotency-Key"], other.Refused);
        Assert.Single((await host.Get(Jira)).Items);
    }

    [Fact]
    public async Task A_key_belongs_to_one_tenant_and_one_connector()
    {
        await using var host = await NeighbourHost.StartAsync();

        await host.Post(Jira, Ticket, "acme", "k1");
        var otherTenant = await host.Post(Jira, Ticket, "globex", "k1");
        var otherConnector = await host.Post("/integration-hub/connectors/servicenow/tickets", Ticket, "acme", "k1");

        Assert.Equal(("PAY-2", "INC0000003"), (otherTenant.Text("id"), otherConnector.Text("id")));
    }

    [Fact]
    public async Task A_key_is_forgotten_after_a_day()
    {
        var time = new FakeTimeProvider();
        await using var host = await NeighbourHost.StartAsync(time: time);
        await host.Post(Jira, Ticket, "acme", "k1");

        time.Advance(TimeSpan.FromHours(24) - TimeSpan.FromTicks(1));
        var within = await host.Post(Jira, Ticket, "acme", "k1");
        time.Advance(TimeSpan.FromTicks(1));
        var after = await host.Post(Jira, Ticket, "acme", "k1");

        Assert.Equal(("PAY-1", "PAY-2"), (within.Text("id"), after.Text("id")));
    }

    [Fact]
    public async Task A_refused_request_does_not_use_up_its_key()
    {
        await using var host = await NeighbourHost.StartAsync();
        Assert.Equal(400, (await host.Post(Jira, "{}", "acme", "k1")).Status);

        Assert.Equal(201, (await host.Post(Jira, Ticket, "acme", "k1")).Status);
    }

    [Fact]
    public async Task One_key_sent_many_times_at_once_makes_one_ticket()
    {
        await using var host = await NeighbourHost.StartAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => host.Post(Jira, Ticket, "acme", "k1")));

        Assert.Single(answers.Select(answer => answer.Body).Distinct());
        Assert.Single((await host.Get(Jira)).Items);
    }

    [Fact]
    public async Task A_ticket_without_tenant_key_or_title_is_refused_with_all_three()
    {
        await using var host = await NeighbourHost.StartAsync();

        var created = await host.Post(Jira, "{}");

        Assert.Equal(400, created.Status);
        Assert.Equal(["Tenant-Id", "Idempotency-Key", "#/title"], created.Refused);
    }

    [Theory]
    [InlineData("open")]
    [InlineData("in-progress")]
    [InlineData("resolved")]
    [InlineData("closed")]
    public async Task A_person_can_move_a_ticket(string state)
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Post(Jira, Ticket, "acme", "k1");

        await host.Put($"{Jira}/PAY-1/state", $$"""{"state":"{{state}}"}""");

        Assert.Equal(state, (await host.Get($"{Jira}/PAY-1")).Text("state"));
    }

    [Fact]
    public async Task A_ticket_cannot_be_moved_to_a_state_that_is_not_one()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Post(Jira, Ticket, "acme", "k1");

        var moved = await host.Put($"{Jira}/PAY-1/state", """{"state":"Closed"}""");

        Assert.Equal(400, moved.Status);
        Assert.Equal("open", (await host.Get($"{Jira}/PAY-1")).Text("state"));
    }

    [Fact]
    public async Task A_ticket_that_is_not_there_is_404()
    {
        await using var host = await NeighbourHost.StartAsync();

        Assert.Equal(404, (await host.Get($"{Jira}/PAY-1")).Status);
        Assert.Equal(404, (await host.Put($"{Jira}/PAY-1/state", """{"state":"closed"}""")).Status);
    }

    [Fact]
    public async Task Another_tenants_ticket_is_404()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Post(Jira, Ticket, "acme", "k1");

        Assert.Equal(404, (await host.Get($"{Jira}/PAY-1", "globex")).Status);
        Assert.Empty((await host.Get(Jira, "globex")).Items);
    }

    [Theory]
    [InlineData("slack")]
    [InlineData("teams")]
    public async Task A_message_is_posted_once_per_key(string connector)
    {
        await using var host = await NeighbourHost.StartAsync();
        var path = $"/integration-hub/connectors/{connector}/messages";
        const string Message = """{"channel":"#sec","text":"a critical","url":"https://v.example/findings/1"}""";

        var first = await host.Post(path, Message, "acme", "k1");
        var again = await host.Post(path, Message, "acme", "k1");

        Assert.Equal((201, first.Body), (again.Status, again.Body));
        Assert.Equal("posted", (await host.Get(first.Text("link") ?? "")).Text("state"));
        Assert.Single((await host.Get(path)).Items);
    }

    [Theory]
    [InlineData("/integration-hub/connectors/slack/tickets")]
    [InlineData("/integration-hub/connectors/jira/messages")]
    [InlineData("/integration-hub/connectors/pager/tickets")]
    public async Task A_connector_takes_only_what_is_its_kind(string path)
    {
        await using var host = await NeighbourHost.StartAsync();

        Assert.Equal(404, (await host.Post(path, Ticket, "acme", "k1")).Status);
    }

    [Fact]
    public async Task The_connectors_are_listed_by_name()
    {
        await using var host = await NeighbourHost.StartAsync();

        Assert.Equal(
            ["jira", "servicenow", "slack", "teams"],
            (await host.Get("/integration-hub/connectors")).Items.Select(connector => connector.GetProperty("name").GetString()));
    }
}
