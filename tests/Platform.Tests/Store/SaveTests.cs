using System.Diagnostics;
using Dapper;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Store;

public sealed class SaveTests(PostgresFixture postgres)
{
    private const string Renamed = "wave16.sample.ticket-renamed.v1";
    private const string Unheard = "wave16.sample.ticket-viewed.v1";
    private static readonly DateTimeOffset InAWeek = new(2026, 3, 8, 12, 0, 0, TimeSpan.Zero);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_save_writes_the_row_its_events_their_deliveries_the_leaf_the_answer_and_the_deadline()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);

        var outcome = await tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1"), Cancellation);

        var saved = Assert.IsType<SaveOutcome.Saved>(outcome);
        Assert.Equal("broken", (await tickets.FindAsync("acme", "T-1", Cancellation))?.Title);
        Assert.Equal(new Written(Events: 2, Deliveries: 2, Leaves: 1, Answers: 1, Due: 1), await CountAsync(sample));
        Assert.Equal(saved.AuditHash, (await tickets.FindAsync("acme", "T-1", Cancellation))?.AuditHash.ToArray());
        Assert.Equal("""{"version":1}""", await CommandAnswers.FindAsync(sample.Database, "acme", "ticket/T-1", "cmd-1", Cancellation));
    }

    [Fact]
    public async Task A_stale_version_writes_nothing_at_all()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        await tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1"), Cancellation);
        await tickets.SaveAsync("worse", Full("T-1", 2, "cmd-2"), Cancellation);
        var before = await CountAsync(sample);

        var outcome = await tickets.SaveAsync("late", Full("T-1", 2, "cmd-3", generation: 9), Cancellation);

        Assert.IsType<SaveOutcome.Stale>(outcome);
        Assert.Equal(before, await CountAsync(sample));
        Assert.Equal("worse", (await tickets.FindAsync("acme", "T-1", Cancellation))?.Title);
        Assert.Null(await CommandAnswers.FindAsync(sample.Database, "acme", "ticket/T-1", "cmd-3", Cancellation));
        Assert.Equal(1L, await ScalarAsync(sample, "select generation from platform.due"));
    }

    [Fact]
    public async Task A_create_of_what_exists_writes_nothing_at_all()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        await tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1"), Cancellation);
        var before = await CountAsync(sample);

        Assert.IsType<SaveOutcome.Stale>(await tickets.SaveAsync("again", Full("T-1", 1, "cmd-2"), Cancellation));

        Assert.Equal(before, await CountAsync(sample));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_repeated_command_is_not_done_twice_and_its_answer_is_found(long version)
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        for (var v = 1L; v <= version; v++)
        {
            await tickets.SaveAsync("broken", Full("T-1", v, $"cmd-{v}"), Cancellation);
        }

        var before = await CountAsync(sample);

        // From an activation that has reloaded, so that the version is right and only the command's id is in the way.
        var outcome = await tickets.SaveAsync("twice", Full("T-1", version + 1, $"cmd-{version}"), Cancellation);

        Assert.Equal($$"""{"version":{{version}}}""", Assert.IsType<SaveOutcome.AlreadyDone>(outcome).Answer);
        Assert.Equal(before, await CountAsync(sample));
    }

    [Fact]
    public async Task The_same_command_id_on_another_entity_or_in_another_tenant_is_another_command()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        await tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1"), Cancellation);

        Assert.IsType<SaveOutcome.Saved>(await tickets.SaveAsync("broken", Full("T-2", 1, "cmd-1"), Cancellation));
        Assert.IsType<SaveOutcome.Saved>(await tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1") with { Tenant = "other" }, Cancellation));
    }

    [Fact]
    public async Task Of_parallel_saves_at_one_version_exactly_one_wins()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        await tickets.SaveAsync("broken", Full("T-1", 1), Cancellation);

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => tickets.SaveAsync($"title {i}", Full("T-1", 2, $"cmd-{i}"), Cancellation)));

        Assert.Single(outcomes, outcome => outcome is SaveOutcome.Saved);
        Assert.Equal(19, outcomes.Count(outcome => outcome is SaveOutcome.Stale));
        Assert.Equal(new Written(Events: 4, Deliveries: 4, Leaves: 2, Answers: 1, Due: 1), await CountAsync(sample));
    }

    [Fact]
    public async Task Of_parallel_creates_with_one_command_one_is_done_and_the_others_find_its_answer()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => tickets.SaveAsync("broken", Full("T-1", 1, "cmd-1"), Cancellation)));

        Assert.Single(outcomes, outcome => outcome is SaveOutcome.Saved);
        Assert.Equal(19, outcomes.Count(outcome => outcome is SaveOutcome.AlreadyDone));
    }

    [Fact]
    public async Task Event_ids_name_epoch_entity_version_and_ordinal_and_only_routed_types_are_delivered()
    {
        await using var sample = await StartAsync();
        await Tickets(sample).SaveAsync("broken", Full("T-1", 1) with { Events = [new(Renamed, "{}"), new(Unheard, "{}"), new(Renamed, "{}")] }, Cancellation);

        await using var connection = await sample.Database.OpenAsync(Cancellation);
        var epoch = sample.Database.Epoch.Token;
        Assert.Equal(
            [$"{epoch}:acme/ticket/T-1:1:0", $"{epoch}:acme/ticket/T-1:1:1", $"{epoch}:acme/ticket/T-1:1:2"],
            await connection.QueryAsync<string>("select event_id from platform.event order by event_id"));
        Assert.Equal(
            [("hub", $"{epoch}:acme/ticket/T-1:1:0"), ("console", $"{epoch}:acme/ticket/T-1:1:0"), ("hub", $"{epoch}:acme/ticket/T-1:1:2"), ("console", $"{epoch}:acme/ticket/T-1:1:2")],
            await connection.QueryAsync<(string, string)>("select destination, event_id from platform.delivery order by id"));
    }

    [Fact]
    public async Task A_save_without_events_or_command_still_says_that_it_happened()
    {
        await using var sample = await StartAsync();

        var outcome = await Tickets(sample).SaveAsync("broken", TicketStore.Change("T-1", 1), Cancellation);

        Assert.IsType<SaveOutcome.Saved>(outcome);
        Assert.Equal(new Written(Events: 0, Deliveries: 0, Leaves: 1, Answers: 0, Due: 0), await CountAsync(sample));
    }

    [Fact]
    public async Task The_current_trace_is_stored_with_the_event()
    {
        await using var sample = await StartAsync();
        using var activity = new Activity("test").SetIdFormat(ActivityIdFormat.W3C).Start();

        await Tickets(sample).SaveAsync("broken", Full("T-1", 1), Cancellation);

        Assert.Equal(activity.Id, await ScalarAsync(sample, "select traceparent from platform.event limit 1"));
    }

    [Fact]
    public async Task A_deadline_is_moved_by_a_newer_generation_and_met_only_by_its_own_or_a_newer_one()
    {
        await using var sample = await StartAsync();
        var tickets = Tickets(sample);
        await tickets.SaveAsync("a", TicketStore.Change("T-1", 1) with { Due = [new("sla", 5, InAWeek)] }, Cancellation);

        await tickets.SaveAsync("b", TicketStore.Change("T-1", 2) with { Due = [new("sla", 4, InAWeek.AddDays(1))] }, Cancellation);
        Assert.Equal(5L, await ScalarAsync(sample, "select generation from platform.due"));

        await tickets.SaveAsync("c", TicketStore.Change("T-1", 3) with { Due = [new("sla", 6, InAWeek.AddDays(2)), new("review", 1, InAWeek)] }, Cancellation);
        Assert.Equal(1L, await ScalarAsync(sample, "select count(*) from platform.due where kind = 'sla' and generation = 6 and due_at = '2026-03-10T12:00Z' and next_at = due_at"));

        await tickets.SaveAsync("d", TicketStore.Change("T-1", 4) with { Due = [new("sla", 5, null)] }, Cancellation);
        Assert.Equal(2L, await ScalarAsync(sample, "select count(*) from platform.due"));

        await tickets.SaveAsync("e", TicketStore.Change("T-1", 5) with { Due = [new("sla", 6, null)] }, Cancellation);
        Assert.Equal("review", await ScalarAsync(sample, "select kind from platform.due"));
    }

    [Fact]
    public async Task Hostile_text_comes_back_as_it_was_saved()
    {
        await using var sample = await StartAsync();
        const string Title = "'; drop table sample.ticket; -- \u2028 \ud83d\udd25 $1";
        var tickets = Tickets(sample);

        await tickets.SaveAsync(Title, Full("T-'1", 1, "cmd'--") with { Events = [new(Renamed, """{"title":"\u0000"}""")] }, Cancellation);

        Assert.Equal(Title, (await tickets.FindAsync("acme", "T-'1", Cancellation))?.Title);
        Assert.Equal("""{"title":"\u0000"}""", await ScalarAsync(sample, "select data from platform.event"));
    }

    [Fact]
    public async Task A_save_that_loses_its_connection_after_the_commit_is_found_done_when_it_is_repeated()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using var proxy = new CuttingProxy(database);
        await using var sample = await StartAsync(proxy.ConnectionString);
        var tickets = Tickets(sample);
        await tickets.SaveAsync("a", Full("T-1", 1, "cmd-1"), Cancellation);
        var cut = proxy.CutAfter("update sample.ticket");

        await Assert.ThrowsAnyAsync<NpgsqlException>(() => tickets.SaveAsync("b", Full("T-1", 2, "cmd-2"), Cancellation));
        await cut;
        var written = await CountAsync(sample);
        // The caller of cmd-2 never heard of it; its new activation has loaded version 2 and is asked the same again.
        var repeated = await tickets.SaveAsync("b", Full("T-1", 3, "cmd-2"), Cancellation);

        Assert.Equal("""{"version":2}""", Assert.IsType<SaveOutcome.AlreadyDone>(repeated).Answer);
        Assert.Equal(2, (await tickets.FindAsync("acme", "T-1", Cancellation))?.Version);
        Assert.Equal(written, await CountAsync(sample));
    }

    [Fact]
    public async Task A_save_that_loses_its_connection_before_the_server_has_it_wrote_nothing_and_can_be_repeated()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using var proxy = new CuttingProxy(database);
        await using var sample = await StartAsync(proxy.ConnectionString);
        var tickets = Tickets(sample);
        await tickets.SaveAsync("a", Full("T-1", 1, "cmd-1"), Cancellation);
        var written = await CountAsync(sample);
        var cut = proxy.CutBefore("update sample.ticket");

        await Assert.ThrowsAnyAsync<NpgsqlException>(() => tickets.SaveAsync("b", Full("T-1", 2, "cmd-2"), Cancellation));
        await cut;
        Assert.Equal(written, await CountAsync(sample));

        Assert.IsType<SaveOutcome.Saved>(await tickets.SaveAsync("b", Full("T-1", 2, "cmd-2"), Cancellation));
    }

    private static EntityChange Full(string id, long version, string? commandId = null, long generation = 1) => TicketStore.Change(id, version, commandId) with
    {
        Events = [new(Renamed, """{"title":"x"}"""), new(Unheard, "{}")],
        Due = [new("sla", generation, InAWeek)],
    };

    // Only the store: with the dispatcher running, deliveries would not stay.
    private async Task<SampleHost> StartAsync(string? database = null)
    {
        var sample = SampleHost.Build(database ?? await SampleModule.DatabaseAsync(postgres), TimeProvider.System, module => module.Route(Renamed, "hub", "console"));
        await sample.Get<Migrator>().MigrateAsync(Cancellation);
        return sample;
    }

    private static TicketStore Tickets(SampleHost sample) => new(sample.Database, sample.Get<SaveTail>());

    private static async Task<object?> ScalarAsync(SampleHost sample, string sql)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        return await connection.ExecuteScalarAsync(sql);
    }

    private static async Task<Written> CountAsync(SampleHost sample)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        return await connection.QuerySingleAsync<Written>("""
            select (select count(*) from platform.event) as events, (select count(*) from platform.delivery) as deliveries,
              (select count(*) from platform.audit_leaf) as leaves, (select count(*) from platform.command) as answers,
              (select count(*) from platform.due) as due
            """);
    }

    private sealed record Written(long Events, long Deliveries, long Leaves, long Answers, long Due);
}
