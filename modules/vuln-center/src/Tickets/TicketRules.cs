using System.Text.Json;
using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using static Wave16.VulnCenter.Contracts.TicketState;

namespace Wave16.VulnCenter.Tickets;

/// <summary>What a ticket's life depends on.</summary>
internal sealed record TicketEntity
{
    public required string Tenant { get; init; }
    public required Guid Id { get; init; }
    public required long Version { get; init; }
    public required Guid Finding { get; init; }
    public required string Connector { get; init; }
    public required TicketState State { get; init; }
    public required string Request { get; init; }
    public required bool Additional { get; init; }
    public required string? Key { get; init; }
    public required string? Link { get; init; }
    public required DateTimeOffset StateSince { get; init; }
    public required string? Problem { get; init; }
    public required string RequestedBy { get; init; }
    public required DateTimeOffset RequestedAt { get; init; }
    public required byte[] AuditHash { get; init; }

    public Ticket ToContract() => new(Id, Finding, Connector, State, Key, Link, StateSince, Problem, RequestedBy, RequestedAt);
}

/// <summary>What can happen to a ticket.</summary>
internal abstract record TicketCommand
{
    /// <summary>integration-hub answered that it has it.</summary>
    public sealed record Opened(HubTicket Hub) : TicketCommand;

    /// <summary>integration-hub will never take it as it is.</summary>
    public sealed record Refused(string Reason) : TicketCommand;

    /// <summary>integration-hub says in which state it is, and since when.</summary>
    public sealed record Reported(TicketState State, DateTimeOffset UpdatedAt, string? Link) : TicketCommand;
}

internal static partial class TicketRules
{
    public static readonly IReadOnlyList<string> Connectors = ["jira", "servicenow"];

    // integration-hub's limit.
    private const int TitleLength = 255;

    /// <summary>The ticket after the command, with what the audit log calls it; null when it changes nothing.</summary>
    public static (TicketEntity Ticket, string Change)? Decide(TicketEntity t, TicketCommand command, DateTimeOffset now) => (t.State, command) switch
    {
        // A dead letter that was replayed: meanwhile another ticket may have been asked for, and both are open now.
        (Requested or Failed, TicketCommand.Opened c) => (t with
        {
            Version = t.Version + 1,
            State = c.Hub.State,
            Additional = t.Additional || t.State == Failed,
            Key = c.Hub.Id,
            Link = c.Hub.Link,
            StateSince = AsStored(c.Hub.UpdatedAt),
            Problem = null,
        }, "ticket.opened"),
        (Requested, TicketCommand.Refused c) => (t with { Version = t.Version + 1, State = Failed, StateSince = now, Problem = c.Reason }, "ticket.refused"),

        // Webhooks come late, twice and in any order: only what is newer counts. That it is in the same state since later is kept, too: what lies between is stale.
        (Open or InProgress or Resolved or Closed, TicketCommand.Reported c) when AsStored(c.UpdatedAt) > t.StateSince =>
            (t with { Version = t.Version + 1, State = c.State, Link = c.Link ?? t.Link, StateSince = AsStored(c.UpdatedAt), Additional = t.Additional || Reopens(t.State, c.State) }, "ticket.state-changed"),
        _ => null,
    };

    /// <summary>Whether it counts as the one that is under way at its connector.</summary>
    public static bool IsUnderWay(TicketState state) => state is Requested or Open or InProgress;

    /// <summary>Whether integration-hub is asked for it now and then.</summary>
    public static bool IsPolled(TicketState state) => state is Open or InProgress;

    public static HubTicketBody BodyOf(TicketSubject finding, TicketRequest request, Uri publicUrl)
    {
        var url = new Uri(publicUrl, $"findings/{finding.Id:D}").ToString();
        var severity = JsonNamingPolicy.KebabCaseLower.ConvertName(finding.Severity.ToString());
        return new HubTicketBody(
            Cut(finding.Title, TitleLength), $"{finding.Title}\n\nSeverity: {severity}\nFinding: {finding.Id:D}\n{url}",
            finding.Severity is Severity.Unknown or Severity.None ? null : finding.Severity, url, request.Project, ["vuln-center"]);
    }

    public static Refusal? Check(TicketRequest request)
    {
        List<FieldError> errors = [];
        if (!Connectors.Contains(request.Connector, StringComparer.Ordinal))
        {
            errors.Add(new FieldError("/connector", $"must be one of {string.Join(", ", Connectors)}"));
        }

        if (request.Project is { } project && !Project().IsMatch(project))
        {
            errors.Add(new FieldError("/project", "must be 1 to 20 letters, digits, '-' or '_'"));
        }

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors);
    }

    public static Refusal? Check(TicketWebhook webhook, DateTimeOffset now)
    {
        List<FieldError> errors = [];
        if (webhook.Data is not { } update)
        {
            errors.Add(new FieldError("/data", "is required for ticket.updated"));
        }
        else
        {
            if (!Connectors.Contains(update.Connector, StringComparer.Ordinal))
            {
                errors.Add(new FieldError("/data/connector", $"must be one of {string.Join(", ", Connectors)}"));
            }

            if (!IsKey(update.Id))
            {
                errors.Add(new FieldError("/data/id", "must be 1 to 200 characters, without control characters"));
            }

            if (!IsHubState(update.State))
            {
                errors.Add(new FieldError("/data/state", "must be open, in-progress, resolved or closed"));
            }

            // One that is far ahead would make everything after it stale.
            if (update.UpdatedAt > now + WebhookSignature.Tolerance)
            {
                errors.Add(new FieldError("/data/updatedAt", "must not be in the future"));
            }
        }

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The webhook is not valid.", errors);
    }

    public static bool IsHubState(TicketState state) => state is Open or InProgress or Resolved or Closed;

    public static bool IsKey(string id) => id.Length is > 0 and <= 200 && !id.Any(char.IsControl);

    public static bool IsLink(string link) => link.Length <= 2_000 && !link.Any(char.IsControl) && Uri.TryCreate(link, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http";

    // To the microsecond: with more digits than the store keeps, what it has would be older than itself.
    private static DateTimeOffset AsStored(DateTimeOffset time) => time.AddTicks(-(time.Ticks % TimeSpan.TicksPerMicrosecond));

    private static bool Reopens(TicketState from, TicketState to) => !IsUnderWay(from) && IsUnderWay(to);

    // Never through the middle of a character.
    private static string Cut(string text, int length) =>
        text.Length <= length ? text : $"{text[..(char.IsHighSurrogate(text[length - 2]) ? length - 2 : length - 1)]}…";

    [GeneratedRegex(@"\A[A-Za-z0-9_-]{1,20}\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Project();
}

/// <summary>What a ticket says of its finding.</summary>
internal sealed record TicketSubject(Guid Id, string Title, Severity Severity);
