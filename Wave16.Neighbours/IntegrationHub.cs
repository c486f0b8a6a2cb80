using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Wave16.Neighbours;

[JsonConverter(typeof(Kebab<TicketState>))]
internal enum TicketState { Open, InProgress, Resolved, Closed }

internal sealed record TicketBody(string? Title, string? Description, Severity? Severity, string? Url, string? Project, IReadOnlyList<string>? Labels);

internal sealed record TicketStateBody(TicketState? State);

/// <summary>A ticket, its id as the vendor would give it (<c>SEC-1</c>, <c>INC0000001</c>): Url is the sender's page, Link the ticket's own.</summary>
internal sealed record Ticket(
    string Id, string Connector, string Tenant, string Title, string? Description, Severity? Severity, string? Url, IReadOnlyList<string> Labels,
    TicketState State, string Link, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

internal sealed record MessageBody(string? Channel, string? Text, string? Url);

internal sealed record Message(
    string Id, string Connector, string Tenant, string Channel, string Text, string? Url, string State, string Link, DateTimeOffset CreatedAt);

internal sealed record ConnectorEntry(string Name, string Kind);

internal sealed record ConnectorList(IReadOnlyList<ConnectorEntry> Items);

/// <summary>
/// integration-hub: connectors by name (tickets at jira and servicenow, messages at slack and teams), created once per
/// <c>Idempotency-Key</c>, and an intake for signed webhooks.
/// </summary>
internal sealed class IntegrationHub : IStandIn
{
    public const string SystemName = "integration-hub";

    static readonly FrozenDictionary<string, ConnectorEntry> Connectors = new ConnectorEntry[]
    {
        new("jira", "tickets"), new("servicenow", "tickets"), new("slack", "messages"), new("teams", "messages"),
    }.ToFrozenDictionary(connector => connector.Name, StringComparer.Ordinal);

    readonly TimeProvider _time;
    readonly WebhookIntake _webhooks;
    readonly IdempotentAnswers _answers;
    readonly Shelf<(string Connector, string Id), Ticket> _tickets = new();
    readonly Shelf<(string Connector, string Id), Message> _messages = new();
    int _numbers;

    public IntegrationHub(TimeProvider time, IConfiguration configuration)
    {
        _time = time;
        _answers = new(time);
        _webhooks = new(time, StandardWebhooks.Secret(configuration[$"Neighbours:{SystemName}:WebhookSecret"]));
    }

    public string Name => SystemName;

    public int MaxBodyBytes => 1 << 20;

    public void Map(IEndpointRouteBuilder system)
    {
        system.MapGet("/connectors", () => TypedResults.Json(
            new ConnectorList([.. Connectors.Values.OrderBy(connector => connector.Name, StringComparer.Ordinal)]), NeighboursJson.Default.ConnectorList));

        var tickets = system.MapGroup("/connectors/{connector}/tickets");
        tickets.MapPost("", CreateTicket);
        tickets.MapGet("", (HttpContext context, string connector) => List(context, connector, "tickets", _tickets, ticket => (ticket.Connector, ticket.Tenant), NeighboursJson.Default.PageTicket));
        tickets.MapGet("/{id}", GetTicket);
        tickets.MapPut("/{id}/state", SetTicketState);

        var messages = system.MapGroup("/connectors/{connector}/messages");
        messages.MapPost("", CreateMessage);
        messages.MapGet("", (HttpContext context, string connector) => List(context, connector, "messages", _messages, message => (message.Connector, message.Tenant), NeighboursJson.Default.PageMessage));
        messages.MapGet("/{id}", GetMessage);

        _webhooks.Map(system.MapGroup("/webhooks"));
    }

    IResult CreateTicket(HttpContext context, string connector)
    {
        if (!Has(connector, "tickets", out var unknown))
            return unknown;
        if (!JsonBody.TryRead(context, NeighboursJson.Default.TicketBody, out var body, out var refusal))
            return refusal;

        var checks = new Checks();
        var (tenant, key) = (checks.Tenant(context.Request), checks.Header(context.Request, IdempotentAnswers.HeaderName, 255));
        var project = checks.Optional("project", body.Project, 20) ?? "SEC";
        var title = checks.Text("title", body.Title, 255);
        var description = checks.Optional("description", body.Description, 32_000);
        var url = checks.OptionalLink("url", body.Url);
        if (body.Labels is { Count: > 50 } || body.Labels?.Any(string.IsNullOrWhiteSpace) == true)
            checks.Add("#/labels", "must be at most 50 words, none blank");
        if (checks.Refusal is { } refused)
            return refused;

        return _answers.Once((tenant, $"{connector}/tickets", key), context, () =>
        {
            var (id, now) = (NextId(connector, project), _time.GetUtcNow());
            var link = Link(context, id);
            var ticket = new Ticket(id, connector, tenant, title, description, body.Severity, url, body.Labels ?? [], TicketState.Open, link, now, now);
            return _tickets.Put((connector, id), ticket) is Placed.Full ? null : (JsonSerializer.SerializeToUtf8Bytes(ticket, NeighboursJson.Default.Ticket), link);
        });
    }

    IResult CreateMessage(HttpContext context, string connector)
    {
        if (!Has(connector, "messages", out var unknown))
            return unknown;
        if (!JsonBody.TryRead(context, NeighboursJson.Default.MessageBody, out var body, out var refusal))
            return refusal;

        var checks = new Checks();
        var (tenant, key) = (checks.Tenant(context.Request), checks.Header(context.Request, IdempotentAnswers.HeaderName, 255));
        var channel = checks.Text("channel", body.Channel, 255);
        var text = checks.Text("text", body.Text, 40_000);
        var url = checks.OptionalLink("url", body.Url);
        if (checks.Refusal is { } refused)
            return refused;

        return _answers.Once((tenant, $"{connector}/messages", key), context, () =>
        {
            var id = NextId(connector, project: "");
            var link = Link(context, id);
            var message = new Message(id, connector, tenant, channel, text, url, "posted", link, _time.GetUtcNow());
            return _messages.Put((connector, id), message) is Placed.Full ? null : (JsonSerializer.SerializeToUtf8Bytes(message, NeighboursJson.Default.Message), link);
        });
    }

    IResult GetTicket(HttpContext context, string connector, string id)
    {
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        if (checks.Refusal is { } refused)
            return refused;
        return _tickets.TryGet((connector, id), out var ticket) && (tenant is null || ticket.Tenant == tenant)
            ? TypedResults.Json(ticket, NeighboursJson.Default.Ticket)
            : Problems.NotFound($"There is no ticket {id} at {connector}.");
    }

    IResult GetMessage(HttpContext context, string connector, string id)
    {
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        if (checks.Refusal is { } refused)
            return refused;
        return _messages.TryGet((connector, id), out var message) && (tenant is null || message.Tenant == tenant)
            ? TypedResults.Json(message, NeighboursJson.Default.Message)
            : Problems.NotFound($"There is no message {id} at {connector}.");
    }

    // What a person at the vendor's own page would do.
    IResult SetTicketState(HttpContext context, string connector, string id)
    {
        if (!JsonBody.TryRead(context, NeighboursJson.Default.TicketStateBody, out var body, out var refusal))
            return refusal;
        var checks = new Checks();
        var state = checks.Required("state", body.State);
        if (checks.Refusal is { } refused)
            return refused;
        return _tickets.TryChange((connector, id), ticket => ticket with { State = state, UpdatedAt = _time.GetUtcNow() }, out var changed)
            ? TypedResults.Json(changed, NeighboursJson.Default.Ticket)
            : Problems.NotFound($"There is no ticket {id} at {connector}.");
    }

    static IResult List<T>(
        HttpContext context,
        string connector,
        string kind,
        Shelf<(string, string), T> shelf,
        Func<T, (string Connector, string Tenant)> owner,
        JsonTypeInfo<Page<T>> type)
    {
        if (!Has(connector, kind, out var unknown))
            return unknown;
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        var (after, limit) = (checks.After(context.Request), checks.Limit(context.Request));
        return checks.Refusal ?? TypedResults.Json(
            shelf.Read(after, limit, item => owner(item).Connector == connector && (tenant is null || owner(item).Tenant == tenant)),
            type);
    }

    static bool Has(string connector, string kind, [NotNullWhen(false)] out IResult? refusal)
    {
        var known = Connectors.GetValueOrDefault(connector);
        refusal = known?.Kind == kind
            ? null
            : Problems.NotFound(known is null ? $"There is no connector {connector}." : $"Connector {connector} takes {known.Kind}, not {kind}.");
        return refusal is null;
    }

    string NextId(string connector, string project)
    {
        var number = Interlocked.Increment(ref _numbers);
        return connector switch
        {
            "jira" => string.Create(CultureInfo.InvariantCulture, $"{project}-{number}"),
            "servicenow" => string.Create(CultureInfo.InvariantCulture, $"INC{number:D7}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"M{number:D7}"),
        };
    }

    static string Link(HttpContext context, string id) =>
        $"{context.Request.Scheme}://{context.Request.Host}{context.Request.PathBase}{context.Request.Path.Value?.TrimEnd('/')}/{id}";
}
