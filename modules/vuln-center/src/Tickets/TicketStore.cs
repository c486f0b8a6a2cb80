using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tickets;

/// <summary>What the audit log says of a ticket.</summary>
internal sealed record TicketAudit(Guid Finding, string Connector, TicketState State, string? Key, string? Problem);

/// <summary>Which ticket a command made.</summary>
internal sealed record TicketAnswer(Guid Ticket);

/// <summary>Tickets and their events, each change one statement.</summary>
internal sealed class TicketStore(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail)
{
    /// <summary>Tickets of one finding that are shown.</summary>
    private const int Most = 200;

    private const int CreateTailFrom = 10;
    private const int SaveTailFrom = 11;

    private const string Columns =
        "id, version, finding, connector, state, request, additional, external_id, link, state_since, problem, requested_by, requested_at, audit_hash";

    // ticket_under_way settles it between two who ask at once.
    private static readonly string Create = $"""
        with u as (
          insert into vuln_center.ticket (
            tenant, id, version, finding, connector, state, request, additional, external_id, link, state_since, problem, requested_by, requested_at, audit_hash)
          select $1, $2, 1, $3, $4, $5, $6, $7, null, null, $8, null, $9, $8, {SaveTail.AuditHash(CreateTailFrom)}
          where {SaveTail.NotYetDone(CreateTailFrom)}
            and exists (select from vuln_center.finding f where f.tenant = $1 and f.id = $3)
            and ($7 or not exists (select from vuln_center.ticket t where t.tenant = $1 and t.finding = $3 and t.connector = $4 and t.state in (1, 2, 3)))
          on conflict do nothing
          returning id
        ){SaveTail.Sql(CreateTailFrom)}
        """;

    private static readonly string Save = $"""
        with u as (
          update vuln_center.ticket
          set version = $4, state = $5, additional = $6, external_id = $7, link = $8, state_since = $9, problem = $10, audit_hash = {SaveTail.AuditHash(SaveTailFrom)}
          where tenant = $1 and id = $2 and version = $3 and {SaveTail.NotYetDone(SaveTailFrom)}
          returning id
        ){SaveTail.Sql(SaveTailFrom)}
        """;

    public async Task<TicketSubject?> SubjectAsync(string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var command = Command("select title, severity from vuln_center.finding where tenant = $1 and id = $2", tenant, finding);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? new TicketSubject(finding, reader.GetString(0), (Severity)reader.GetInt16(1)) : null;
    }

    /// <returns>Stale when there is one under way already, and none was asked for beside it.</returns>
    public async Task<SaveOutcome> CreateAsync(TicketEntity ticket, string commandId, CancellationToken cancellation)
    {
        await using var command = Command(Create, ticket.Tenant, ticket.Id);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<Guid> { TypedValue = ticket.Finding });
        p.Add(new NpgsqlParameter<string> { TypedValue = ticket.Connector });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)ticket.State });
        p.Add(new NpgsqlParameter<string> { TypedValue = ticket.Request });
        p.Add(new NpgsqlParameter<bool> { TypedValue = ticket.Additional });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = ticket.RequestedAt.ToUniversalTime() });
        p.Add(new NpgsqlParameter<string> { TypedValue = ticket.RequestedBy });
        return await tail.SaveAsync(
            command,
            ChangeOf(ticket, ticket.RequestedAt, ticket.RequestedBy, "ticket.requested") with
            {
                Events =
                [
                    new NewEvent(VulnCenterEvents.TicketRequested, JsonSerializer.Serialize(
                        new TicketRequested(ticket.Id, ticket.Finding, ticket.Connector), VulnCenterJson.Default.TicketRequested)),
                ],
                CommandId = commandId,
                Answer = JsonSerializer.Serialize(new TicketAnswer(ticket.Id), VulnCenterJson.Default.TicketAnswer),
            },
            cancellation);
    }

    public async Task<SaveOutcome> SaveAsync(
        TicketEntity before, TicketEntity after, string change, string actor, DateTimeOffset now, DueChange poll, CancellationToken cancellation)
    {
        await using var command = Command(Save, after.Tenant, after.Id);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<long> { TypedValue = before.Version });
        p.Add(new NpgsqlParameter<long> { TypedValue = after.Version });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)after.State });
        p.Add(new NpgsqlParameter<bool> { TypedValue = after.Additional });
        p.Add(OptionalParameter.Text(after.Key));
        p.Add(OptionalParameter.Text(after.Link));
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.StateSince.ToUniversalTime() });
        p.Add(OptionalParameter.Text(after.Problem));
        return await tail.SaveAsync(command, ChangeOf(after, now, actor, change) with { PreviousAuditHash = before.AuditHash, Due = [poll] }, cancellation);
    }

    /// <summary>Sets the next poll of a ticket that stays as it is.</summary>
    public async Task PollAsync(string tenant, Guid id, DueChange poll, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await SetSave.WriteDueAsync(connection, tenant, [new EntityDue(id.ToString("D"), poll)], cancellation);
    }

    public async Task<TicketEntity?> LoadAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = Command($"select {Columns} from vuln_center.ticket where tenant = $1 and id = $2", tenant, id);
        return await OneAsync(command, tenant, cancellation);
    }

    /// <summary>By the name its connector gave it. Uses ticket_by_external_id.</summary>
    public async Task<TicketEntity?> FindAsync(string tenant, string connector, string key, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"select {Columns} from vuln_center.ticket where tenant = $1 and connector = $2 and external_id = $3");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = connector });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = key });
        return await OneAsync(command, tenant, cancellation);
    }

    /// <summary>Oldest first. Uses ticket_of_finding.</summary>
    public async Task<IReadOnlyList<TicketEntity>> ListAsync(string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var command = Command($"select {Columns} from vuln_center.ticket where tenant = $1 and finding = $2 order by requested_at, id limit {Most}", tenant, finding);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        List<TicketEntity> tickets = [];
        while (await reader.ReadAsync(cancellation))
        {
            tickets.Add(Read(reader, tenant));
        }

        return tickets;
    }

    public async Task<TicketEntity?> UnderWayAsync(string tenant, Guid finding, string connector, CancellationToken cancellation)
    {
        await using var command = Command(
            $"select {Columns} from vuln_center.ticket where tenant = $1 and finding = $2 and connector = $3 and state in (1, 2, 3) order by requested_at, id limit 1", tenant, finding);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = connector });
        return await OneAsync(command, tenant, cancellation);
    }

    private static EntityChange ChangeOf(TicketEntity ticket, DateTimeOffset at, string actor, string action) => new()
    {
        Tenant = ticket.Tenant,
        Kind = "ticket",
        Id = ticket.Id.ToString("D"),
        Version = ticket.Version,
        At = at,
        Actor = actor,
        Action = action,
        Details = JsonSerializer.SerializeToElement(
            new TicketAudit(ticket.Finding, ticket.Connector, ticket.State, ticket.Key, ticket.Problem), VulnCenterJson.Default.TicketAudit),
    };

    private static async Task<TicketEntity?> OneAsync(NpgsqlCommand command, string tenant, CancellationToken cancellation)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? Read(reader, tenant) : null;
    }

    private static TicketEntity Read(NpgsqlDataReader row, string tenant) => new()
    {
        Tenant = tenant,
        Id = row.GetGuid(0),
        Version = row.GetInt64(1),
        Finding = row.GetGuid(2),
        Connector = row.GetString(3),
        State = (TicketState)row.GetInt16(4),
        Request = row.GetString(5),
        Additional = row.GetBoolean(6),
        Key = row.IsDBNull(7) ? null : row.GetString(7),
        Link = row.IsDBNull(8) ? null : row.GetString(8),
        StateSince = row.GetFieldValue<DateTimeOffset>(9),
        Problem = row.IsDBNull(10) ? null : row.GetString(10),
        RequestedBy = row.GetString(11),
        RequestedAt = row.GetFieldValue<DateTimeOffset>(12),
        AuditHash = row.GetFieldValue<byte[]>(13),
    };

    private NpgsqlCommand Command(string sql, string tenant, Guid id)
    {
        var command = database.DataSource.CreateCommand(sql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        return command;
    }
}
