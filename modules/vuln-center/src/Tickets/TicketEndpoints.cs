using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tickets;

internal static class TicketEndpoints
{
    private const int WebhookBytes = 64 << 10;
    private const string Updated = "ticket.updated";

    public static void MapTickets(this IEndpointRouteBuilder app)
    {
        var tickets = app.MapGroup("/findings").WithTags("Tickets");
        tickets.MapPost("/{id:guid}/tickets", OpenAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency()
            .WithName("OpenTicket").WithSummary("Open a ticket for a finding, at jira or servicenow")
            .WithDescription("202 with the ticket as requested; it is open once integration-hub has answered. 409 when one is under way there, unless another is asked for.");
        tickets.MapGet("/{id:guid}/tickets", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListTickets").WithSummary("A finding's tickets");
        tickets.MapPost("/{id:guid}/tickets/{ticket:guid}/refresh", RefreshAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("RefreshTicket").WithSummary("Ask integration-hub which state a ticket is in");
        tickets.MapPost("/tickets/webhook", ReportAsync).RequireScope(VulnCenterScopes.TicketStates)
            .WithName("ReportTicketState").WithSummary("Webhook by which integration-hub says which state a ticket is in")
            .WithDescription("Signed as Standard Webhooks 1.0.0 says (webhook-id, webhook-timestamp, webhook-signature), besides the token that names the tenant. Sent again, late or twice it changes nothing.")
            .Accepts<TicketWebhook>("application/json").Produces(StatusCodes.Status204NoContent);
    }

    private static async Task<Results<Accepted<Ticket>, RefusalResult>> OpenAsync(
        Guid id, TicketRequest request, CommandId command, Caller caller, TicketDesk desk, CancellationToken cancellation)
    {
        if (TicketRules.Check(request) is { } invalid)
        {
            return invalid.ToResult();
        }

        var (ticket, refusal) = await desk.RequestAsync(caller, id, request, command, cancellation);
        return ticket is null
            ? (refusal ?? throw new InvalidOperationException("A refused ticket has a reason.")).ToResult()
            : TypedResults.Accepted($"/findings/{id:D}/tickets", ticket.ToContract());
    }

    private static async Task<Results<Ok<TicketList>, RefusalResult>> ListAsync(Guid id, Caller caller, TicketStore store, CancellationToken cancellation)
    {
        var tickets = await store.ListAsync(caller.Tenant, id, cancellation);
        return tickets.Count > 0 || await store.SubjectAsync(caller.Tenant, id, cancellation) is not null
            ? TypedResults.Ok(new TicketList([.. tickets.Select(ticket => ticket.ToContract())]))
            : new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {id}.").ToResult();
    }

    private static async Task<Results<Ok<Ticket>, RefusalResult>> RefreshAsync(Guid id, Guid ticket, Caller caller, TicketDesk desk, CancellationToken cancellation)
    {
        var (refreshed, refusal) = await desk.RefreshAsync(caller.Tenant, id, ticket, cancellation);
        return refreshed is null
            ? (refusal ?? throw new InvalidOperationException("A refused ticket has a reason.")).ToResult()
            : TypedResults.Ok(refreshed.ToContract());
    }

    private static async Task<Results<NoContent, RefusalResult>> ReportAsync(
        Caller caller, TicketDesk desk, IOptions<TicketOptions> options, TimeProvider clock, HttpContext http, CancellationToken cancellation)
    {
        var body = await ReadAsync(http.Request, cancellation);
        if (Distrust(http.Request.Headers, body, options.Value.Secrets(), clock.GetUtcNow()) is { } refusal)
        {
            return refusal.ToResult();
        }

        var webhook = Parse(body);
        if (webhook.Type != Updated)
        {
            return TypedResults.NoContent();
        }

        if (TicketRules.Check(webhook, clock.GetUtcNow()) is { } invalid)
        {
            return invalid.ToResult();
        }

        // Not here yet, perhaps: integration-hub's answer to our request may still be on its way. It sends again what was not taken.
        return webhook.Data is { } update && await desk.ReportAsync(caller.Tenant, update, cancellation)
            ? TypedResults.NoContent()
            : new Refusal(ProblemCodes.NotFound.Code, "There is no such ticket here.").ToResult();
    }

    /// <summary>Why a webhook is not believed; the signature is over the body as it came.</summary>
    private static Refusal? Distrust(IHeaderDictionary headers, byte[] body, IReadOnlyList<byte[]> keys, DateTimeOffset now)
    {
        List<FieldError> errors = [];
        var (id, timestamp, signatures) = (Header(WebhookSignature.IdHeader, 256), Header(WebhookSignature.TimestampHeader, 20), Header(WebhookSignature.SignatureHeader, 4_096));
        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The webhook is not complete.", errors);
        }

        if (!WebhookSignature.IsTimely(timestamp, now))
        {
            return new Refusal(
                TicketProblems.WebhookTimestamp, "The webhook is too old, or from the future.",
                [FieldError.Header(WebhookSignature.TimestampHeader, "must be Unix seconds within five minutes of now")]);
        }

        return WebhookSignature.IsSigned(keys, id, timestamp, body, signatures)
            ? null
            : new Refusal(
                TicketProblems.WebhookSignature, keys.Count == 0 ? "No secret is configured, so no webhook is taken." : "The signature is not ours.",
                [FieldError.Header(WebhookSignature.SignatureHeader, "must have a v1 signature of this body by the shared secret")]);

        string Header(string name, int length)
        {
            if (headers[name] is [{ Length: > 0 } value] && value.Length <= length)
            {
                return value;
            }

            errors.Add(FieldError.Header(name, $"must be given once, with 1 to {length} characters"));
            return "";
        }
    }

    private static async Task<byte[]> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        var buffer = new byte[WebhookBytes + 1];
        var read = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        return read <= WebhookBytes
            ? buffer[..read]
            : throw new RefusedException(new Refusal(ProblemCodes.TooLarge.Code, $"A webhook has at most {WebhookBytes} bytes."));
    }

    private static TicketWebhook Parse(byte[] body)
    {
        try
        {
            return JsonSerializer.Deserialize<TicketWebhook>(body, Wave16Json.Options)
                ?? throw new RefusedException(new Refusal(ProblemCodes.Malformed.Code, "A body is required.", [new FieldError("", "is required")]));
        }
        catch (JsonException broken)
        {
            // As the framework answers a body that it reads itself.
            throw new BadHttpRequestException(broken.Message, StatusCodes.Status400BadRequest, broken);
        }
    }
}
