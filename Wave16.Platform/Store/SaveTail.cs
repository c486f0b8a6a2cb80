using System.Diagnostics;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;

namespace Wave16.Platform.Store;

/// <summary>
/// The part of a save that is the same for every entity. A store writes
/// <c>with u as (update … where … and version = $3 returning …)</c> followed by <see cref="Sql"/>: one statement, in which
/// nothing is inserted unless the update hit its version, and which answers with no row when it did not.
/// </summary>
public sealed class SaveTail
{
    private const int ParameterCount = 24;
    private readonly ModuleDatabase _database;
    private readonly EventRoutes _routes;
    private readonly Action<EntityChange>? _saved;

    /// <param name="database">The module's.</param>
    /// <param name="routes">Which events have listeners.</param>
    /// <param name="saved">Called after each save: wakes what waits for its rows.</param>
    internal SaveTail(ModuleDatabase database, EventRoutes routes, Action<EntityChange>? saved = null)
    {
        _database = database;
        _routes = routes;
        _saved = saved;
    }

    /// <summary>
    /// Runs a save. The statement is the module's CTE <c>u</c> with <see cref="NotYetDone"/> in its condition, then <see cref="Sql"/>;
    /// the command carries the module's own parameters, and the tail's are added after them.
    /// </summary>
    /// <exception cref="NpgsqlException">Nothing was written; or, when the connection was lost, that is not known.</exception>
    public Task<SaveOutcome> SaveAsync(NpgsqlCommand save, EntityChange change, CancellationToken cancellation) => SaveAsync(save, change, on: null, cancellation);

    /// <summary>The same, on a connection of the caller's, who has more to do in one transaction.</summary>
    /// <exception cref="NpgsqlException">Nothing was written; or, when the connection was lost, that is not known.</exception>
    public async Task<SaveOutcome> SaveAsync(NpgsqlCommand save, EntityChange change, NpgsqlConnection? on, CancellationToken cancellation)
    {
        if (on is not null)
        {
            save.Connection = on;
        }

        var hash = AddParameters(save.Parameters, change);
        return await AnswerAsync(change, hash, await save.ExecuteScalarAsync(cancellation) is not null, on, cancellation);
    }

    /// <summary>The same, where locks are to be held before the save's snapshot is taken: it is the last command, all in one transaction.</summary>
    /// <exception cref="NpgsqlException">Nothing was written; or, when the connection was lost, that is not known.</exception>
    public async Task<SaveOutcome> SaveAsync(NpgsqlBatch batch, EntityChange change, CancellationToken cancellation)
    {
        var hash = AddParameters(batch.BatchCommands[^1].Parameters, change);
        bool saved;
        await using (var reader = await batch.ExecuteReaderAsync(cancellation))
        {
            for (var before = 1; before < batch.BatchCommands.Count; before++)
            {
                await reader.NextResultAsync(cancellation);
            }

            saved = await reader.ReadAsync(cancellation);
        }

        return await AnswerAsync(change, hash, saved, on: null, cancellation);
    }

    private async Task<SaveOutcome> AnswerAsync(EntityChange change, byte[] hash, bool saved, NpgsqlConnection? on, CancellationToken cancellation)
    {
        if (saved)
        {
            _saved?.Invoke(change);
            return new SaveOutcome.Saved(hash);
        }

        if (change.CommandId is not { } command)
        {
            return new SaveOutcome.Stale();
        }

        var answer = on is null
            ? await CommandAnswers.FindAsync(_database, change.Tenant, change.EntityKey, command, cancellation)
            : await CommandAnswers.FindOnAsync(on, change.Tenant, change.EntityKey, command, cancellation);
        return answer is null ? new SaveOutcome.Stale() : new SaveOutcome.AlreadyDone(answer);
    }

    /// <summary>The SQL that follows the CTE <c>u</c>, with positional parameters from <paramref name="first"/> on.</summary>
    public static string Sql(int first)
    {
        string P(int offset) => "$" + (first + offset).ToString(System.Globalization.CultureInfo.InvariantCulture);
        return $"""
            , tail_event as (
              insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data, traceparent)
              select {P(3)}, e.event_id, {P(0)}, e.type, {P(1)}, {P(2)}, e.data, {P(4)}
              from u, unnest({P(5)}::text[], {P(6)}::text[], {P(7)}::text[]) as e(event_id, type, data)
            ), tail_delivery as (
              insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
              select d.destination, {P(0)}, {P(1)}, d.event_id, {P(3)}
              from u, unnest({P(8)}::text[], {P(9)}::text[]) with ordinality as d(event_id, destination, ordinal)
              order by d.ordinal
            ), tail_audit as (
              insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, covers, canonical, hash)
              select {P(10)}, {P(0)}, {P(11)}, {P(2)}, {P(3)}, {P(12)}, {P(13)}, {P(23)}, {P(14)}, {P(15)} from u
            ), tail_command as (
              insert into platform.command (at, tenant, entity, command_id, answer)
              select {P(3)}, {P(0)}, {P(11)}, {P(16)}, {P(17)} from u where {P(16)}::text is not null
            ), tail_due_met as (
              delete from platform.due using u, unnest({P(18)}::text[], {P(19)}::bigint[]) as d(kind, generation)
              where due.tenant = {P(0)} and due.kind = d.kind and due.entity = {P(1)} and due.generation <= d.generation
            ), tail_due_set as (
              insert into platform.due (tenant, kind, entity, generation, due_at, next_at)
              select {P(0)}, d.kind, {P(1)}, d.generation, d.due_at, d.due_at
              from u, unnest({P(20)}::text[], {P(21)}::bigint[], {P(22)}::timestamptz[]) as d(kind, generation, due_at)
              on conflict (tenant, kind, entity) do update
                set generation = excluded.generation, due_at = excluded.due_at, next_at = excluded.next_at, attempts = 0, last_error = null
                where due.generation < excluded.generation
            )
            select 1 from u
            """;
    }

    /// <summary>
    /// The condition that keeps a repeated command from being done twice, for the <c>where</c> of the update or of the
    /// insert's select. Same <paramref name="first"/> as <see cref="Sql"/>.
    /// </summary>
    public static string NotYetDone(int first) => $"""
        not exists (select from platform.command c where c.tenant = ${first} and c.entity = ${first + 11} and c.command_id = ${first + 16})
        """;

    /// <summary>The parameter that holds the hash of the leaf this save writes, for the entity's own row.</summary>
    public static string AuditHash(int first) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"${first + 15}");

    /// <summary>Appends the parameters that <see cref="Sql"/> names. Returns the hash of the audit leaf this save writes.</summary>
    /// <exception cref="EventTooLargeException">One of the events is over the limit.</exception>
    public byte[] AddParameters(NpgsqlParameterCollection parameters, EntityChange change)
    {
        var before = parameters.Count;
        var events = change.Events;
        var eventIds = new string[events.Count];
        var types = new string[events.Count];
        var data = new string[events.Count];
        List<string> deliveryEvents = [], destinations = [];
        for (var i = 0; i < events.Count; i++)
        {
            eventIds[i] = EventId.Of(_database.Epoch, change.Tenant, change.Kind, change.Id, change.Version, i);
            EventEnvelope.Check(eventIds[i], _database.Module, events[i].Type, change.Id, change.Tenant, events[i].Data);
            types[i] = events[i].Type;
            data[i] = events[i].Data;
            foreach (var destination in _routes.For(events[i].Type))
            {
                deliveryEvents.Add(eventIds[i]);
                destinations.Add(destination);
            }
        }

        var canonical = AuditLeaf.Canonical(change);
        var hash = AuditLeaf.Hash(canonical);
        var met = change.Due.Where(due => due.DueAt is null).ToList();
        var set = change.Due.Where(due => due.DueAt is not null).ToList();

        Text(change.Tenant);
        Text(change.Id);
        parameters.Add(new NpgsqlParameter<long> { TypedValue = change.Version });
        parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = change.At.ToUniversalTime() });
        Text(Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity ? activity.Id : null);
        Texts(eventIds);
        Texts(types);
        Texts(data);
        Texts([.. deliveryEvents]);
        Texts([.. destinations]);
        parameters.Add(new NpgsqlParameter<int> { TypedValue = _database.Epoch.Number });
        Text(change.EntityKey);
        Text(change.Actor);
        Text(change.Action);
        Text(canonical);
        parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = hash });
        Text(change.CommandId);
        Text(change.Answer);
        Texts([.. met.Select(due => due.Kind)]);
        parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. met.Select(due => due.Generation)] });
        Texts([.. set.Select(due => due.Kind)]);
        parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. set.Select(due => due.Generation)] });
        parameters.Add(new NpgsqlParameter<DateTimeOffset[]> { TypedValue = [.. set.Select(due => due.DueAt.GetValueOrDefault().ToUniversalTime())] });
        Text(change.Covers);
        Debug.Assert(parameters.Count - before == ParameterCount, "Sql and AddParameters name the same parameters.");
        return hash;

        void Text(string? value) => parameters.Add(new NpgsqlParameter { Value = (object?)value ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        void Texts(string[] values) => parameters.Add(new NpgsqlParameter<string[]> { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
    }
}
