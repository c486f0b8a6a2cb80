using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Gates;

namespace Wave16.VulnCenter.Reporting;

/// <summary>Asks our own destination of a neighbour to tell it how a service stands, or whether a finding stands at the gate. Goes nowhere else.</summary>
/// <param name="Finding">At the gate; null for a service.</param>
internal sealed record StateRestated(string Neighbour, string Service, Guid? Finding)
{
    public const string EventType = "wave16.vuln-center.state-restated.v1";
}

internal sealed record RestatementAudit(string Neighbour, int Services, int Gates);

/// <summary>
/// What a neighbour that is configured later, or is another one now, missed: at start, one whose address is not that of the last
/// start gets all that is current, through the outbox like everything else. A finding's gate keeps its place among its events.
/// </summary>
internal sealed class Restatement(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    [FromKeyedServices(VulnCenterModule.ModuleName)] OutboxSignal outbox,
    [FromKeyedServices(ControlPlane.Name)] NeighbourAddress controlPlane,
    [FromKeyedServices(ProgramGraphs.Name)] NeighbourAddress programGraph,
    [FromKeyedServices(SafetyConsole.Name)] NeighbourAddress safetyConsole,
    TimeProvider clock,
    ILogger<Restatement> log) : BackgroundService
{
    private const int BatchSize = 1_000;
    private static readonly TimeSpan Again = TimeSpan.FromSeconds(5);

    // Replicas that start at once wait here for each other, and one of them gets a row.
    private const string Moved = """
        insert into vuln_center.neighbour as n (name, address) values ($1, $2)
        on conflict (name) do update set address = excluded.address where n.address is distinct from excluded.address
        returning 1
        """;

    private const string Services = "select distinct tenant, service, null::uuid from vuln_center.finding_revision order by tenant, service";

    private const string Gates = "select tenant, service, id from vuln_center.finding where gate order by tenant, id";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await database.WhenReadyAsync(stoppingToken);
        foreach (var (neighbour, what) in ((NeighbourAddress, string)[])[(controlPlane, Services), (programGraph, Services), (safetyConsole, Gates)])
        {
            for (var failed = false; ; failed = true)
            {
                try
                {
                    await RestateAsync(neighbour, what, stoppingToken);
                    break;
                }
                catch (Exception failure) when (!stoppingToken.IsCancellationRequested)
                {
                    if (!failed)
                    {
                        log.LogWarning(failure, "What {Neighbour} may have missed cannot be looked up; it is tried again", neighbour.Name);
                    }

                    await Task.Delay(Again, clock, stoppingToken);
                }
            }
        }
    }

    private async Task RestateAsync(NeighbourAddress neighbour, string what, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        // The hash: an address may hold a secret.
        var address = neighbour.IsConfigured ? SHA256.HashData(Encoding.UTF8.GetBytes(neighbour.Url.AbsoluteUri)) : null;
        await using (var moved = new NpgsqlCommand(Moved, connection))
        {
            moved.Parameters.Add(new NpgsqlParameter<string> { TypedValue = neighbour.Name });
            moved.Parameters.Add(OptionalParameter.Of(address, NpgsqlTypes.NpgsqlDbType.Bytea));
            if (await moved.ExecuteScalarAsync(cancellation) is null)
            {
                return;
            }
        }

        var count = 0;
        if (neighbour.IsConfigured)
        {
            var states = await connection.ListAsync(
                what, row => (Tenant: row.GetString(0), State: new StateRestated(neighbour.Name, row.GetString(1), row.IsDBNull(2) ? null : row.GetGuid(2))), cancellation);
            foreach (var tenant in states.GroupBy(state => state.Tenant, state => state.State, StringComparer.Ordinal))
            {
                count += await WriteAsync(connection, neighbour.Name, tenant.Key, [.. tenant], cancellation);
            }
        }

        await transaction.CommitAsync(cancellation);
        if (count > 0)
        {
            log.LogInformation("{Neighbour} has another address than at the last start: it is told {Count} states", neighbour.Name, count);
            outbox.Committed([neighbour.Name]);
        }
    }

    private async Task<int> WriteAsync(NpgsqlConnection connection, string neighbour, string tenant, IReadOnlyList<StateRestated> states, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        foreach (var batch in states.Chunk(BatchSize))
        {
            await tail.WriteEventsAsync(
                connection, tenant, now,
                [.. batch.Select(state => new EntityEvent(
                    "restated", (state.Finding ?? Guid.CreateVersion7(now)).ToString("D"), now.ToUnixTimeMilliseconds(), 0,
                    new NewEvent(StateRestated.EventType, JsonSerializer.Serialize(state, VulnCenterJson.Default.StateRestated))))],
                cancellation);
        }

        var gates = states.Count(state => state.Finding is not null);
        await tail.WriteAsync(connection, new EntityChange
        {
            Tenant = tenant,
            Kind = "restatement",
            Id = Guid.CreateVersion7(now).ToString("D"),
            Version = 1,
            At = now,
            Actor = "system:vuln-center",
            Action = "neighbour.restated",
            Details = JsonSerializer.SerializeToElement(new RestatementAudit(neighbour, states.Count - gates, gates), VulnCenterJson.Default.RestatementAudit),
        }, cancellation);
        return states.Count;
    }
}
