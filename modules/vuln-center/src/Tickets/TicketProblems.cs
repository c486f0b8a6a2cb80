using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Tickets;

/// <summary>The stable codes of what can be wrong with a ticket.</summary>
internal static class TicketProblems
{
    public const string UnderWay = "ticket.under-way";
    public const string Gone = "ticket.gone";
    public const string WebhookTimestamp = "webhook.timestamp";
    public const string WebhookSignature = "webhook.signature";

    public static readonly ProblemCode[] All =
    [
        new(UnderWay, 409, "The finding has a ticket there already"),
        new(Gone, 409, "integration-hub does not know the ticket"),
        new(WebhookTimestamp, 401, "The webhook cannot be trusted"),
        new(WebhookSignature, 401, "The webhook cannot be trusted"),
    ];
}
