using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.Testing;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tickets;

namespace Wave16.VulnCenter.Tests.Tickets;

public sealed class TicketTests(VulnCenterHost host, PostgresFixture postgres) : IClassFixture<VulnCenterHost>
{
    private const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    private static readonly object Jira = new { connector = "jira", project = "APP" };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_ticket_is_opened_with_id_link_severity_and_title_and_its_link_comes_back()
    {
        using var client = await host.OperatorAsync("tickets");
        using var hub = Hub("tickets");
        var finding = await client.ImportOneAsync("shop-api", "critical", title: "=Ünïcode title");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        var requested = await asked.ReadAsync<Ticket>();
        var open = await StateAsync(client, finding.Id, TicketState.Open);

        Assert.Equal((HttpStatusCode.Accepted, TicketState.Requested), (asked.StatusCode, requested.State));
        Assert.Equal((requested.Id, "jira", "tickets-tester"), (open.Id, open.Connector, open.RequestedBy));
        Assert.StartsWith("APP-", open.Key, StringComparison.Ordinal);
        var there = await hub.GetFromJsonAsync<JsonElement>(new Uri($"connectors/jira/tickets/{open.Key}", UriKind.Relative), Cancellation);
        Assert.Equal((open.Link, "=Ünïcode title", "critical"), (there.GetProperty("link").GetString(), there.GetProperty("title").GetString(), there.GetProperty("severity").GetString()));
        Assert.Equal($"=Ünïcode title\n\nSeverity: critical\nFinding: {finding.Id}\nhttp://localhost:5016/findings/{finding.Id}", there.GetProperty("description").GetString());
        Assert.Equal(1L, (await client.FindingAsync(finding.Id)).Finding.Version);
        Assert.Equal(2L, await host.ScalarAsync<long>("select count(*) from platform.audit_leaf where tenant = $1 and entity = $2", "tickets", $"ticket/{open.Id:D}"));
    }

    [Fact]
    public async Task However_many_ask_at_once_one_ticket_is_under_way_at_a_connector_unless_another_is_asked_for()
    {
        using var client = await host.OperatorAsync("one-ticket");
        using var hub = Hub("one-ticket");
        var finding = await client.ImportOneAsync("shop-api", "high");
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation)));
        var open = await StateAsync(client, finding.Id, TicketState.Open);
        using var refused = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        using var elsewhere = await client.PostAsJsonAsync(Address(finding.Id), new { connector = "servicenow" }, Cancellation);
        using var another = await client.PostAsJsonAsync(Address(finding.Id), new { connector = "jira", another = true }, Cancellation);

        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.Accepted);
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.Accepted), answer => Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode));
        var problem = await refused.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        Assert.Equal("ticket.under-way", problem.GetProperty("code").GetString());
        Assert.Contains(open.Key ?? "none", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.Accepted), (elsewhere.StatusCode, another.StatusCode));
        await UntilAsync(async () => (await TicketsAsync(client, finding.Id)).All(ticket => ticket.State == TicketState.Open));
        Assert.Equal((2, 1), (await CountAsync(hub, "jira"), await CountAsync(hub, "servicenow")));
    }

    /// <summary>A replica that is killed has sent its statement, and the server still commits it while the client asks again.</summary>
    [Fact]
    public async Task A_request_that_is_repeated_while_the_first_is_still_being_committed_gets_the_same_ticket()
    {
        using var client = await host.OperatorAsync("repeated");
        var desk = host.Module.Services.GetRequiredService<TicketDesk>();
        var caller = new Caller("repeated", "repeated-tester", new HashSet<string>(), new HashSet<string>(), null);
        for (var round = 0; round < 20; round++)
        {
            var finding = await client.ImportOneAsync($"service-{round}", "high");
            var command = new CommandId($"http:{Guid.NewGuid():N}");

            var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => desk.RequestAsync(caller, finding.Id, new TicketRequest("jira"), command, Cancellation)));

            Assert.All(answers, answer => Assert.Null(answer.Refusal));
            Assert.Single(answers.Select(answer => answer.Ticket?.Id).Distinct());
        }
    }

    [Fact]
    public async Task A_ticket_asked_for_while_integration_hub_is_down_and_then_failing_is_opened_once_when_it_is_back()
    {
        using var client = await host.OperatorAsync("hub-down");
        using var hub = Hub("hub-down");
        var finding = await client.ImportOneAsync("shop-api", "high");
        await FaultAsync("""{"down":true}""");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        await UntilAsync(async () => (await ReceivedAsync()).Any(call => call.Fault == "down"));
        await FaultAsync("""{"status":500}""");
        await UntilAsync(async () => (await ReceivedAsync()).Any(call => call.Fault == "failed"));
        Assert.Equal(TicketState.Requested, Assert.Single(await TicketsAsync(client, finding.Id)).State);
        await FaultAsync("{}");

        Assert.Equal(HttpStatusCode.Accepted, asked.StatusCode);
        await StateAsync(client, finding.Id, TicketState.Open);
        Assert.Equal(1, await CountAsync(hub, "jira"));
    }

    [Fact]
    public async Task A_ticket_whose_answer_was_lost_and_whose_finding_has_changed_since_is_still_one_ticket()
    {
        var loses = new LosesAnswers();
        await using var module = await RunningModules.StartAsync(
            [new VulnCenterModule()],
            [
                new("ConnectionStrings:vuln-center-db", await postgres.CreateDatabaseAsync(Cancellation)),
                new("Neighbours:integration-hub:Url", new Uri(host.Neighbours, "integration-hub/").ToString()),
            ],
            Cancellation,
            services => services.AddHttpClient("integration-hub").AddHttpMessageHandler(() => new Losing(loses)));
        using var client = await module.ClientAsync("lost-answer", Cancellation, "operator");
        using var hub = Hub("lost-answer");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        await loses.Lost.Task.WaitAsync(Cancellation);
        await client.ImportAsync("generic", "shop-api", OneFinding.Report("critical", title: "Another title"));
        loses.Enough = true;

        var open = await StateAsync(client, finding.Id, TicketState.Open);
        Assert.Equal(1, await CountAsync(hub, "jira"));
        Assert.Equal(HttpStatusCode.OK, (await hub.GetAsync(new Uri($"connectors/jira/tickets/{open.Key}", UriKind.Relative), Cancellation)).StatusCode);
    }

    [Fact]
    public async Task What_integration_hub_refuses_is_a_dead_letter_and_opens_the_ticket_when_it_is_replayed()
    {
        using var client = await host.OperatorAsync("refused");
        var finding = await client.ImportOneAsync("shop-api", "high");
        await FaultAsync("""{"status":422}""");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        var failed = await StateAsync(client, finding.Id, TicketState.Failed);
        await FaultAsync("{}");
        using var next = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        await UntilAsync(async () => (await TicketsAsync(client, finding.Id)).Any(ticket => ticket.State == TicketState.Open));
        using var replayed = await client.PostAsync(new Uri("/events/vuln-center/dead-letters/replay?destination=integration-hub", UriKind.Relative), null, Cancellation);
        await UntilAsync(async () => (await TicketsAsync(client, finding.Id)).All(ticket => ticket.State == TicketState.Open));

        Assert.Contains("422", failed.Problem, StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.OK), (next.StatusCode, replayed.StatusCode));
        Assert.Equal(2, (await TicketsAsync(client, finding.Id)).Select(ticket => ticket.Key).Distinct().Count());
    }

    [Fact]
    public async Task The_state_comes_back_when_it_is_asked_for()
    {
        using var client = await host.OperatorAsync("refresh");
        using var stranger = await host.OperatorAsync("refresh-stranger");
        using var hub = Hub("refresh");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        var open = await StateAsync(client, finding.Id, TicketState.Open);
        using var set = await hub.PutAsJsonAsync(new Uri($"connectors/jira/tickets/{open.Key}/state", UriKind.Relative), new { state = "resolved" }, Cancellation);
        set.EnsureSuccessStatusCode();
        var refresh = new Uri($"/findings/{finding.Id}/tickets/{open.Id}/refresh", UriKind.Relative);
        using var foreign = await stranger.PostAsync(refresh, null, Cancellation);
        using var ofOther = await client.PostAsync(new Uri($"/findings/{Guid.Empty}/tickets/{open.Id}/refresh", UriKind.Relative), null, Cancellation);
        await FaultAsync("""{"status":503}""");
        using var down = await client.PostAsync(refresh, null, Cancellation);
        await FaultAsync("{}");
        HttpResponseMessage refreshed;
        do
        {
            // The circuit stays open for a moment.
            refreshed = await client.PostAsync(refresh, null, Cancellation);
        }
        while (refreshed.StatusCode == HttpStatusCode.ServiceUnavailable);

        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.NotFound, HttpStatusCode.ServiceUnavailable), (foreign.StatusCode, ofOther.StatusCode, down.StatusCode));
        Assert.Equal(TicketState.Resolved, (await refreshed.ReadAsync<Ticket>()).State);
    }

    [Fact]
    public async Task An_open_ticket_is_asked_for_now_and_then_until_it_is_resolved()
    {
        using var client = await host.OperatorAsync("polled");
        using var hub = Hub("polled");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        var open = await StateAsync(client, finding.Id, TicketState.Open);
        var first = await PollAsync(open.Id);
        await VulnCenterHost.PassAsync(host.Database, TimeSpan.FromHours(7));
        await UntilAsync(async () => await PollAsync(open.Id) > DateTimeOffset.UtcNow.AddHours(5));
        Assert.Equal(2L, await VersionAsync(open.Id));
        await FaultAsync("""{"status":500}""");
        await VulnCenterHost.PassAsync(host.Database, TimeSpan.FromHours(7));
        await UntilAsync(async () => await PollAsync(open.Id) > DateTimeOffset.UtcNow.AddHours(5));
        await FaultAsync("{}");
        using var set = await hub.PutAsJsonAsync(new Uri($"connectors/jira/tickets/{open.Key}/state", UriKind.Relative), new { state = "resolved" }, Cancellation);
        set.EnsureSuccessStatusCode();
        Assert.Equal(TicketState.Open, Assert.Single(await TicketsAsync(client, finding.Id)).State);

        // The client's breaker may still be open: then the next poll tells.
        while (Assert.Single(await TicketsAsync(client, finding.Id)).State == TicketState.Open)
        {
            await VulnCenterHost.PassAsync(host.Database, TimeSpan.FromHours(7));
            await UntilAsync(async () => await host.ScalarAsync<long>(
                "select count(*) from platform.due where kind = 'ticket-poll' and entity = $1 and due_at < now() + interval '5 hours'", open.Id.ToString("D")) == 0);
        }

        await StateAsync(client, finding.Id, TicketState.Resolved);
        Assert.InRange(first - DateTimeOffset.UtcNow, TimeSpan.FromHours(5.3), TimeSpan.FromHours(6.6));
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from platform.due where entity = $1", open.Id.ToString("D")));
    }

    [Fact]
    public async Task A_signed_webhook_sets_the_state_once_and_never_back()
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:TicketWebhookSecret", $"whsec_{Convert.ToBase64String(new byte[24])} {Secret}")]);
        using var client = await module.ClientAsync("webhooks", Cancellation, "operator");
        using var service = await module.ClientAsync("webhooks", Cancellation, "service");
        using var foreign = await module.ClientAsync("webhooks-foreign", Cancellation, "service");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var asked = await client.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        var open = await StateAsync(client, finding.Id, TicketState.Open);
        var resolved = Update(open.Key, "resolved", open.StateSince.AddSeconds(20));
        var confirmed = Update(open.Key, "resolved", open.StateSince.AddSeconds(60));

        var taken = await SendAsync(service, resolved);
        var again = await SendAsync(service, resolved);
        var older = await SendAsync(service, Update(open.Key, "open", open.StateSince.AddSeconds(10)));
        var same = await SendAsync(service, Update(open.Key, "open", open.StateSince.AddSeconds(20)));
        var version = await VersionAsync(open.Id);
        var later = await SendAsync(service, confirmed);
        var between = await SendAsync(service, Update(open.Key, "open", open.StateSince.AddSeconds(40)));

        Assert.All((HttpStatusCode[])[taken, again, older, same, later, between], status => Assert.Equal(HttpStatusCode.NoContent, status));
        Assert.Equal((3L, 4L), (version, await VersionAsync(open.Id)));
        Assert.Equal(TicketState.Resolved, Assert.Single(await TicketsAsync(client, finding.Id)).State);
        Assert.Equal(HttpStatusCode.NotFound, await SendAsync(foreign, resolved));
        Assert.Equal(HttpStatusCode.NotFound, await SendAsync(service, Update("APP-999999", "open", open.StateSince)));
        Assert.Equal(HttpStatusCode.NoContent, await SendAsync(service, """{"type":"ticket.commented","timestamp":"2026-01-01T00:00:00Z","data":null}"""));
        Assert.Equal(HttpStatusCode.BadRequest, await SendAsync(service, Update(open.Key, "requested", open.StateSince.AddSeconds(61))));
        Assert.Equal(HttpStatusCode.BadRequest, await SendAsync(service, Update(open.Key, "closed", open.StateSince.AddHours(1))));
        Assert.Equal(HttpStatusCode.Forbidden, await SendAsync(client, confirmed));
        Assert.Equal(HttpStatusCode.Unauthorized, await SendAsync(module.Anonymous(), confirmed));
    }

    [Theory]
    [InlineData("body", 401, "webhook.signature")]
    [InlineData("id", 401, "webhook.signature")]
    [InlineData("key", 401, "webhook.signature")]
    [InlineData("algorithm", 401, "webhook.signature")]
    [InlineData("none", 400, "request.invalid")]
    [InlineData("old", 401, "webhook.timestamp")]
    [InlineData("future", 401, "webhook.timestamp")]
    [InlineData("no-time", 401, "webhook.timestamp")]
    public async Task A_webhook_that_is_not_signed_as_it_must_be_changes_nothing(string flaw, int status, string code)
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:TicketWebhookSecret", Secret)]);
        using var service = await module.ClientAsync("flawed", Cancellation, "service");
        var body = Update("SEC-1", "resolved", DateTimeOffset.UnixEpoch);
        var time = flaw switch { "old" => -301, "future" => 301, _ => 0 } + DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var timestamp = flaw == "no-time" ? "now" : time.ToString(CultureInfo.InvariantCulture);
        var signature = Sign("msg_1", timestamp, body, flaw == "key" ? "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" : Secret);
        using var request = Webhook(flaw == "body" ? body + " " : body, flaw == "id" ? "msg_2" : "msg_1", timestamp, flaw switch { "none" => null, "algorithm" => $"v1a{signature[2..]}", _ => signature });
        using var answer = await service.SendAsync(request, Cancellation);
        Assert.Equal((status, code), ((int)answer.StatusCode, await answer.CodeOfAsync()));
    }

    [Fact]
    public async Task Without_a_secret_no_webhook_is_taken()
    {
        using var service = await host.Module.ClientAsync("no-secret", Cancellation, "service");
        Assert.Equal(HttpStatusCode.Unauthorized, await SendAsync(service, Update("SEC-1", "resolved", DateTimeOffset.UnixEpoch)));
    }

    [Theory]
    [InlineData("""{"connector":"trello"}""", "/connector")]
    [InlineData("""{"connector":"jira","project":"a b"}""", "/project")]
    [InlineData("""{"project":"APP"}""", "/connector")]
    public async Task A_bad_field_is_named(string body, string pointer)
    {
        using var client = await host.OperatorAsync("ticket-fields");
        using var stranger = await host.OperatorAsync("ticket-stranger");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var answer = await client.PostAsync(Address(finding.Id), content, Cancellation);
        using var foreign = await stranger.PostAsJsonAsync(Address(finding.Id), Jira, Cancellation);
        using var list = await stranger.GetAsync(Address(finding.Id), Cancellation);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        Assert.Equal(pointer, problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.NotFound, HttpStatusCode.NotFound), (answer.StatusCode, foreign.StatusCode, list.StatusCode));
        Assert.Empty(await TicketsAsync(client, finding.Id));
    }

    private static Uri Address(Guid finding) => new($"/findings/{finding}/tickets", UriKind.Relative);

    private static string Update(string? key, string state, DateTimeOffset at) =>
        JsonSerializer.Serialize(new { type = "ticket.updated", timestamp = at, data = new { connector = "jira", id = key, state, updatedAt = at } });

    private static string Sign(string id, string timestamp, string body, string secret = Secret) =>
        $"v1,{Convert.ToBase64String(HMACSHA256.HashData(Convert.FromBase64String(secret[6..]), Encoding.UTF8.GetBytes($"{id}.{timestamp}.{body}")))}";

    private static async Task<HttpStatusCode> SendAsync(HttpClient client, string body)
    {
        var timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        using var request = Webhook(body, "msg_1", timestamp, $"v1,bm9uZQ== {Sign("msg_1", timestamp, body)}");
        using var answer = await client.SendAsync(request, Cancellation);
        return answer.StatusCode;
    }

    private static HttpRequestMessage Webhook(string body, string id, string timestamp, string? signature)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/findings/tickets/webhook") { Content = new StringContent(body, new MediaTypeHeaderValue("application/json")) };
        request.Headers.Add("webhook-id", id);
        request.Headers.Add("webhook-timestamp", timestamp);
        if (signature is not null)
        {
            request.Headers.TryAddWithoutValidation("webhook-signature", signature);
        }

        return request;
    }

    private HttpClient Hub(string tenant)
    {
        var hub = new HttpClient { BaseAddress = new Uri(host.Neighbours, "integration-hub/") };
        hub.DefaultRequestHeaders.Add("Tenant-Id", tenant);
        return hub;
    }

    private static async Task<int> CountAsync(HttpClient hub, string connector) =>
        (await hub.GetFromJsonAsync<JsonElement>(new Uri($"connectors/{connector}/tickets", UriKind.Relative), Cancellation)).GetProperty("items").GetArrayLength();

    private async Task FaultAsync(string faults)
    {
        using var control = new HttpClient { BaseAddress = host.Neighbours };
        using var body = new StringContent(faults, Encoding.UTF8, "application/json");
        using var set = await control.PutAsync(new Uri("/neighbours/integration-hub/faults", UriKind.Relative), body, Cancellation);
        set.EnsureSuccessStatusCode();
    }

    private async Task<IReadOnlyList<(string? Fault, string Path)>> ReceivedAsync()
    {
        using var control = new HttpClient { BaseAddress = host.Neighbours };
        var received = await control.GetFromJsonAsync<JsonElement>("/neighbours/integration-hub/received?limit=1000", Cancellation);
        return [.. received.GetProperty("items").EnumerateArray().Select(call => (call.TryGetProperty("fault", out var fault) ? fault.GetString() : null, call.GetProperty("path").GetString() ?? ""))];
    }

    private async Task<DateTimeOffset> PollAsync(Guid ticket) =>
        new(await host.ScalarAsync<DateTime>("select due_at from platform.due where kind = 'ticket-poll' and entity = $1", ticket.ToString("D")));

    private Task<long> VersionAsync(Guid ticket) => host.ScalarAsync<long>("select version from vuln_center.ticket where id = $1", ticket);

    private static async Task<IReadOnlyList<Ticket>> TicketsAsync(HttpClient client, Guid finding) =>
        (await client.GetFromJsonAsync<TicketList>(Address(finding), VulnCenterCalls.Json, Cancellation))?.Items ?? [];

    private static async Task<Ticket> StateAsync(HttpClient client, Guid finding, TicketState state)
    {
        IReadOnlyList<Ticket> tickets = [];
        await UntilAsync(async () => (tickets = await TicketsAsync(client, finding)).Any(ticket => ticket.State == state));
        return tickets.Single(ticket => ticket.State == state);
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition())
        {
            await look.WaitForNextTickAsync(patience.Token);
        }
    }

    private sealed class LosesAnswers
    {
        public TaskCompletionSource Lost { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public volatile bool Enough;
    }

    /// <summary>integration-hub has done it, and nobody hears of that.</summary>
    private sealed class Losing(LosesAnswers loses) : DelegatingHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var answer = await base.SendAsync(request, cancellationToken);
            if (loses.Enough)
            {
                return answer;
            }

            answer.Dispose();
            loses.Lost.TrySetResult();
            throw new HttpRequestException("The answer was lost.");
        }
    }
}
