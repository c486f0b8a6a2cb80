using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;

namespace Wave16.Bench;

/// <summary>A module with one entity, whose saves raise an event that its own handler receives over the bus.</summary>
internal sealed class CounterModule : IModule
{
    public const string ModuleName = "bench";
    public const string Counted = "wave16.bench.counter-counted.v1";

    public string Name => ModuleName;

    public string Title => "Counters";

    public Assembly Migrations => typeof(CounterModule).Assembly;

    public void AddServices(ModuleBuilder module) => module.Subscribe<CountedHandler>().Route(Counted, BusDestination.BusName);

    public void MapEndpoints(IEndpointRouteBuilder app)
    {
    }
}

/// <summary>Notes when an event came, and does nothing else: what is measured is the way, not the work at its end.</summary>
internal sealed class CountedHandler : IEventHandler
{
    private readonly Channel<long> _arrivals = Channel.CreateUnbounded<long>();

    public string Consumer => "bench/counted";

    public IReadOnlyCollection<string> Types => [CounterModule.Counted];

    public Task HandleAsync(EventEnvelope envelope, string commandId, CancellationToken cancellation) =>
        _arrivals.Writer.WriteAsync(Stopwatch.GetTimestamp(), cancellation).AsTask();

    /// <summary>When the next event came, as <see cref="Stopwatch.GetTimestamp"/> says it.</summary>
    public ValueTask<long> NextAsync(CancellationToken cancellation) => _arrivals.Reader.ReadAsync(cancellation);
}

internal sealed class CounterStore(IServiceProvider services)
{
    private static readonly string Insert = $"""
        with u as (
          insert into bench.counter (tenant, id, version) select $1, $2, $3 where {SaveTail.NotYetDone(1)} on conflict do nothing returning id
        ){SaveTail.Sql(1)}
        """;

    private readonly ModuleDatabase _database = services.GetRequiredKeyedService<ModuleDatabase>(CounterModule.ModuleName);
    private readonly SaveTail _tail = services.GetRequiredKeyedService<SaveTail>(CounterModule.ModuleName);

    public async Task CreateAsync(string tenant, string id, CancellationToken cancellation)
    {
        var change = new EntityChange
        {
            Tenant = tenant,
            Kind = "counter",
            Id = id,
            Version = 1,
            At = TimeProvider.System.GetUtcNow(),
            Actor = "system:bench",
            Action = "counter.created",
            Details = JsonElement.Parse("{}"),
            Events = [new NewEvent(CounterModule.Counted, """{"count":1}""")],
        };
        await using var command = _database.DataSource.CreateCommand(Insert);
        if (await _tail.SaveAsync(command, change, cancellation) is not SaveOutcome.Saved)
        {
            throw new InvalidOperationException($"Counter {id} was not saved.");
        }
    }

    /// <summary>Commits events with a delivery each to the destination, at once: what a destination that was away finds.</summary>
    public async Task FillAsync(string destination, int round, int events, int subjects, CancellationToken cancellation)
    {
        await using var command = _database.DataSource.CreateCommand("""
            with e as (
              insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data)
              select $1, $2 || ':' || $3::text || ':' || n, 'bench', $4, 's' || (n % $5), n, '{"count":1}' from generate_series(1, $6) n
              returning event_id, subject, occurred_at, entity_version
            )
            insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
            select $2, 'bench', subject, event_id, occurred_at from e order by entity_version
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = TimeProvider.System.GetUtcNow() });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = round });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = CounterModule.Counted });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = subjects });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = events });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public async Task<bool> IsEmptyAsync(string destination, CancellationToken cancellation)
    {
        await using var command = _database.DataSource.CreateCommand("select not exists (select from platform.delivery where destination = $1)");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
        return await command.ExecuteScalarAsync(cancellation) is true;
    }

    /// <summary>The least a drain could do: read in batches, delete in batches, hand nothing to anyone.</summary>
    public async Task DrainAsync(string destination, int fetch, int settle, CancellationToken cancellation)
    {
        await using var connection = await _database.OpenAsync(cancellation);
        List<long> ids = [];
        do
        {
            ids.Clear();
            await using (var select = new NpgsqlCommand("""
                select d.id, d.tenant, d.subject, d.event_id, d.occurred_at, e.type, e.entity_version, e.data
                from platform.delivery d join platform.event e on e.occurred_at = d.occurred_at and e.event_id = d.event_id
                where d.destination = $1 order by d.id limit $2
                """, connection))
            {
                select.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
                select.Parameters.Add(new NpgsqlParameter<int> { TypedValue = fetch });
                await using var reader = await select.ExecuteReaderAsync(cancellation);
                while (await reader.ReadAsync(cancellation))
                {
                    ids.Add(reader.GetInt64(0));
                }
            }

            foreach (var batch in ids.Chunk(settle))
            {
                await using var delete = new NpgsqlCommand("delete from platform.delivery where destination = $1 and id = any($2)", connection);
                delete.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
                delete.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = batch });
                await delete.ExecuteNonQueryAsync(cancellation);
            }
        }
        while (ids.Count > 0);
    }
}
