using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Tests.Store;

internal sealed record Ticket(string Tenant, string Id, long Version, string Title, ReadOnlyMemory<byte> AuditHash);

/// <summary>How a module's store is written on <see cref="SaveTail"/>: the smallest entity there is.</summary>
internal sealed class TicketStore(ModuleDatabase database, SaveTail tail)
{
    private static readonly string Create = $"""
        with u as (
          insert into sample.ticket (tenant, id, version, title, audit_hash)
          select $2, $3, $4, $1, $17
          where {SaveTail.NotYetDone(2)}
          on conflict (tenant, id) do nothing
          returning id
        ){SaveTail.Sql(2)}
        """;

    private static readonly string Update = $"""
        with u as (
          update sample.ticket set version = $4, title = $1, audit_hash = $17
          where tenant = $2 and id = $3 and version = $4 - 1 and {SaveTail.NotYetDone(2)}
          returning id
        ){SaveTail.Sql(2)}
        """;

    public async Task<Ticket?> FindAsync(string tenant, string id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select version, title, audit_hash from sample.ticket where tenant = $1 and id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = id });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new Ticket(tenant, id, reader.GetInt64(0), reader.GetString(1), reader.GetFieldValue<byte[]>(2))
            : null;
    }

    public async Task<SaveOutcome> SaveAsync(string title, EntityChange change, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(change.Version == 1 ? Create : Update);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = title });
        return await tail.SaveAsync(command, change, cancellation);
    }

    public static EntityChange Change(string id, long version, string? commandId = null) => new()
    {
        Tenant = "acme",
        Kind = "ticket",
        Id = id,
        Version = version,
        At = new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero),
        Actor = "ann",
        Action = version == 1 ? "ticket.open" : "ticket.rename",
        Details = JsonSerializer.SerializeToElement(new { version }),
        CommandId = commandId,
        Answer = $$"""{"version":{{version}}}""",
    };
}
