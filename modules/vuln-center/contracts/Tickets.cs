using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>Stored and sent by name; numbers are stored in the database, so only append.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<TicketState>))]
public enum TicketState
{
    /// <summary>Asked for; integration-hub has not answered yet.</summary>
    Requested = 1,
    Open = 2,
    InProgress = 3,
    Resolved = 4,
    Closed = 5,

    /// <summary>integration-hub refused it; the request is a dead letter, and can be replayed.</summary>
    Failed = 6,
}

/// <summary>A ticket that was opened for a finding. What it says is at the connector, behind its link.</summary>
/// <param name="Connector"><c>jira</c> or <c>servicenow</c>.</param>
/// <param name="Key">As the connector calls it: <c>SEC-12</c>; null until it is open.</param>
/// <param name="Link">The ticket's own page.</param>
/// <param name="StateSince">By integration-hub's clock once it is open.</param>
/// <param name="Problem">Why it failed.</param>
public sealed record Ticket(
    Guid Id, Guid Finding, string Connector, TicketState State, string? Key, string? Link, DateTimeOffset StateSince, string? Problem,
    string RequestedBy, DateTimeOffset RequestedAt);

/// <summary>Body of <c>POST /findings/{id}/tickets</c>.</summary>
/// <param name="Connector"><c>jira</c> or <c>servicenow</c>.</param>
/// <param name="Project">Where the connector files it: 1 to 20 letters, digits, '-' or '_'.</param>
/// <param name="Another">Open it even though one is under way at this connector.</param>
public sealed record TicketRequest(string Connector, string? Project = null, bool Another = false);

/// <summary>A finding's tickets, oldest first.</summary>
public sealed record TicketList(IReadOnlyList<Ticket> Items);

/// <summary>Body of <c>POST /findings/tickets/webhook</c>, as Standard Webhooks shape it, with members that may be more than these. Types other than <c>ticket.updated</c> change nothing.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)]
public sealed record TicketWebhook(string Type, DateTimeOffset Timestamp, TicketUpdate? Data = null);

/// <param name="Connector"><c>jira</c> or <c>servicenow</c>.</param>
/// <param name="Id">As the connector calls it: <c>SEC-12</c>.</param>
/// <param name="State"><c>open</c>, <c>in-progress</c>, <c>resolved</c> or <c>closed</c>.</param>
/// <param name="UpdatedAt">Since when. One that is not later than what is known changes nothing.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)]
public sealed record TicketUpdate(string Connector, string Id, TicketState State, DateTimeOffset UpdatedAt);
