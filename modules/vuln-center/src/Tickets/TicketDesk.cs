using System.Text.Json;
using Microsoft.Extensions.Options;
using Wave16.Platform.Events;
using Wave16.Platform.Http;
using Wave16.Platform.Neighbours;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Tickets;

/// <summary>Opens tickets, takes their requests to integration-hub, and keeps the state that it reports.</summary>
internal sealed class TicketDesk(
    TicketStore store,
    IntegrationHub hub,
    [FromKeyedServices(IntegrationHub.Name)] NeighbourAddress address,
    IOptions<ImportOptions> options,
    IOptions<TicketOptions> tickets,
    TimeProvider clock,
    ILogger<TicketDesk> log) : IDestination
{
    private const string Actor = "system:integration-hub";
    private const int Attempts = 5;

    public string Name => IntegrationHub.Name;

    public async Task<(TicketEntity? Ticket, Refusal? Refusal)> RequestAsync(Caller caller, Guid finding, TicketRequest request, CommandId command, CancellationToken cancellation)
    {
        if (await store.SubjectAsync(caller.Tenant, finding, cancellation) is not { } subject)
        {
            return (null, new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {finding}."));
        }

        var now = clock.GetUtcNow();
        var ticket = new TicketEntity
        {
            Tenant = caller.Tenant,
            Id = command.EntityId,
            Version = 1,
            Finding = finding,
            Connector = request.Connector,
            State = TicketState.Requested,
            Request = JsonSerializer.Serialize(TicketRules.BodyOf(subject, request, options.Value.PublicUrl), VulnCenterJson.Default.HubTicketBody),
            Additional = request.Another,
            Key = null,
            Link = null,
            StateSince = now,
            Problem = null,
            RequestedBy = caller.Subject,
            RequestedAt = now,
            AuditHash = [],
        };
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            switch (await store.CreateAsync(ticket, command.Value, cancellation))
            {
                case SaveOutcome.Saved:
                    return (ticket, null);
                case SaveOutcome.AlreadyDone done:
                    var answer = JsonSerializer.Deserialize(done.Answer, VulnCenterJson.Default.TicketAnswer) ?? throw new InvalidOperationException("A stored answer is empty.");
                    return (await store.LoadAsync(caller.Tenant, answer.Ticket, cancellation), null);
            }

            // One that ended this moment is no hindrance any more.
            if (await store.UnderWayAsync(caller.Tenant, finding, request.Connector, cancellation) is { } known)
            {
                return (null, new Refusal(
                    TicketProblems.UnderWay,
                    $"Ticket {known.Id:D}{(known.Key is null ? "" : $" ({known.Key}, {known.Link})")} is under way at {known.Connector}; \"another\": true opens one beside it."));
            }
        }

        return (null, new Refusal(ProblemCodes.Overloaded.Code, "The finding's tickets are being changed by others; try again."));
    }

    /// <summary>Whatever the state is by now: the request goes out until integration-hub has answered it, and is the same each time.</summary>
    public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        if (!address.IsConfigured)
        {
            return new DeliveryOutcome.Unavailable("not configured");
        }

        var requested = envelope.Type == VulnCenterEvents.TicketRequested
            ? JsonSerializer.Deserialize(envelope.Data, VulnCenterJson.Default.TicketRequested) ?? throw new EventRejectedException($"Event {envelope.Id} has no data.")
            : throw new EventRejectedException($"{Name} does not take {envelope.Type}.");
        var ticket = await store.LoadAsync(envelope.TenantId, requested.Ticket, cancellation) ?? throw new EventRejectedException($"Ticket {requested.Ticket} is not in this store.");
        if (ticket.State is not (TicketState.Requested or TicketState.Failed))
        {
            return DeliveryOutcome.Done;
        }

        using var response = await hub.CreateAsync(ticket.Tenant, ticket.Connector, ticket.Id.ToString("N"), ticket.Request, cancellation);
        switch (response.ToOutcome(clock))
        {
            case DeliveryOutcome.Delivered:
                if (await IntegrationHub.ReadAsync(response, cancellation) is not { } opened)
                {
                    return new DeliveryOutcome.Retry("the answer is no ticket");
                }

                await ChangeAsync(ticket, new TicketCommand.Opened(opened), cancellation);
                return DeliveryOutcome.Done;
            case DeliveryOutcome.Rejected rejected:
                await ChangeAsync(ticket, new TicketCommand.Refused($"integration-hub answered {rejected.Reason}."), cancellation);
                return rejected;
            case var later:
                return later;
        }
    }

    /// <summary>The ticket after integration-hub was asked; null when there is none.</summary>
    /// <exception cref="HttpRequestException">It cannot be asked.</exception>
    public async Task<(TicketEntity? Ticket, Refusal? Refusal)> RefreshAsync(string tenant, Guid finding, Guid id, CancellationToken cancellation)
    {
        if (await store.LoadAsync(tenant, id, cancellation) is not { } ticket || ticket.Finding != finding)
        {
            return (null, new Refusal(ProblemCodes.NotFound.Code, "The finding has no such ticket."));
        }

        if (ticket.Key is not { } key)
        {
            // Not open yet: there is nothing to ask for.
            return (ticket, null);
        }

        return await hub.FindAsync(tenant, ticket.Connector, key, cancellation) is { } known
            ? (await ChangeAsync(ticket, new TicketCommand.Reported(known.State, known.UpdatedAt, known.Link), cancellation), null)
            : (null, new Refusal(TicketProblems.Gone, $"integration-hub knows no ticket {key} at {ticket.Connector}."));
    }

    /// <summary>Asks for an open ticket, and sets when it is asked for again. While integration-hub cannot be asked, that is not sooner: there may be many.</summary>
    /// <param name="generation">Of this poll.</param>
    public async Task PollAsync(string tenant, Guid id, long generation, CancellationToken cancellation)
    {
        if (await store.LoadAsync(tenant, id, cancellation) is not { Key: { } key } ticket || !TicketRules.IsPolled(ticket.State))
        {
            return;
        }

        try
        {
            if (address.IsConfigured && await hub.FindAsync(tenant, ticket.Connector, key, cancellation) is { } known)
            {
                ticket = await ChangeAsync(ticket, new TicketCommand.Reported(known.State, known.UpdatedAt, known.Link), cancellation);
            }
        }
        catch (Exception away) when (away is HttpRequestException || away.ToOutcome() is DeliveryOutcome.Unavailable)
        {
            log.LogDebug(away, "Ticket {Ticket} could not be asked for", id);
        }

        if (TicketRules.IsPolled(ticket.State))
        {
            var now = clock.GetUtcNow();
            await store.PollAsync(tenant, id, TicketPoll.At(NextPoll(now), now, after: generation), cancellation);
        }
    }

    /// <returns>False when there is no such ticket.</returns>
    public async Task<bool> ReportAsync(string tenant, TicketUpdate update, CancellationToken cancellation)
    {
        if (await store.FindAsync(tenant, update.Connector, update.Id, cancellation) is not { } ticket)
        {
            return false;
        }

        await ChangeAsync(ticket, new TicketCommand.Reported(update.State, update.UpdatedAt, Link: null), cancellation);
        return true;
    }

    private async Task<TicketEntity> ChangeAsync(TicketEntity ticket, TicketCommand command, CancellationToken cancellation)
    {
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var now = clock.GetUtcNow();
            if (TicketRules.Decide(ticket, command, now) is not { } decided)
            {
                return ticket;
            }

            var poll = TicketPoll.At(TicketRules.IsPolled(decided.Ticket.State) ? NextPoll(now) : null, now);
            if (await store.SaveAsync(ticket, decided.Ticket, decided.Change, Actor, now, poll, cancellation) is SaveOutcome.Saved saved)
            {
                return decided.Ticket with { AuditHash = saved.AuditHash };
            }

            ticket = await store.LoadAsync(ticket.Tenant, ticket.Id, cancellation) ?? throw new InvalidOperationException($"Ticket {ticket.Id} vanished.");
        }

        throw new RefusedException(new Refusal(ProblemCodes.Overloaded.Code, "The ticket is being changed by others; try again."));
    }

    // Tickets that were opened together are not asked for together.
    private DateTimeOffset NextPoll(DateTimeOffset now) => now + (TimeSpan.FromHours(tickets.Value.TicketPollHours) * (0.9 + (Random.Shared.NextDouble() / 5)));
}
