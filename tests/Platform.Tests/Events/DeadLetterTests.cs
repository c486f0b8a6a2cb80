using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.ServiceDefaults;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class DeadLetterTests(PostgresFixture postgres)
{
    private const string Opened = "wave16.sample.ticket-opened.v1";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_operator_lists_replays_and_no_longer_sees_the_dead_letters_of_the_own_tenant()
    {
        var hub = new Hub { Accepts = false };
        await using var service = await StartAsync(hub);
        var token = await service.Token("tenant-a", Access.Scopes.DeadLettersRead, Access.Scopes.DeadLettersReplay);
        await using var dead = await DeadAsync(service);
        await RaiseAsync(service, "tenant-a", "c1", "c2", "c3");
        await RaiseAsync(service, "tenant-b", "c9");
        await hub.TriedAsync(4);
        await dead.SeenAsync(4);

        var first = (await service.Get("/events/sample/dead-letters?limit=2", token)).Json;
        var second = (await service.Get($"/events/sample/dead-letters?limit=2&cursor={first.GetProperty("next").GetString()}", token)).Json;
        var letters = first.GetProperty("items").EnumerateArray().Concat(second.GetProperty("items").EnumerateArray()).ToList();
        Assert.Equal(["c1", "c2", "c3"], letters.Select(letter => letter.GetProperty("subject").GetString()).Order(StringComparer.Ordinal));
        Assert.All(letters, letter => Assert.Equal(("hub", Opened, "HTTP 422", 1),
            (letter.GetProperty("destination").GetString(), letter.GetProperty("type").GetString(), letter.GetProperty("lastError").GetString(), letter.GetProperty("attempts").GetInt32())));

        hub.Accepts = true;
        var one = letters[0].GetProperty("id").GetInt64();
        Assert.Equal(1, (await service.PostJson($"/events/sample/dead-letters/{one}/replay", "", token)).Json.GetProperty("replayed").GetInt32());
        Assert.Equal("not-found", (await service.PostJson($"/events/sample/dead-letters/{one}/replay", "", token)).Problem());
        Assert.Equal(letters[0].GetProperty("subject").GetString(), (await hub.TriedAsync(1))[0].Subject);

        var rest = (await service.PostJson("/events/sample/dead-letters/replay?destination=hub", "", token)).Json;
        Assert.Equal((2, false), (rest.GetProperty("replayed").GetInt32(), rest.GetProperty("more").GetBoolean()));
        Assert.Equal(2, (await hub.TriedAsync(2)).Count);
        Assert.Equal(0, (await service.Get("/events/sample/dead-letters", token)).Json.GetProperty("items").GetArrayLength());
        Assert.Equal(1, (await service.Get("/events/sample/dead-letters", await service.Token("tenant-b", Access.Scopes.DeadLettersRead))).Json.GetProperty("items").GetArrayLength());
        Assert.Equal(2L, await ScalarAsync(service, "select count(*) from platform.audit_leaf where action = 'dead-letter.replay' and tenant = 'tenant-a'"));
    }

    [Fact]
    public async Task Each_delivery_that_is_given_up_is_counted()
    {
        await using var service = await StartAsync(new Hub { Accepts = false });
        using var dead = new Measurements(service.App.Services.GetRequiredService<IMeterFactory>(), "outbox.dead_letters");

        await RaiseAsync(service, "t", "c1", "c2", "c3");

        for (var counted = 0; counted < 3;)
        {
            var (tags, deliveries) = await dead.NextAsync(Cancellation).Soon();
            Assert.Equal("sample hub", tags);
            counted += (int)deliveries;
        }

        Assert.Equal(3, await ScalarAsync(service, "select count(*) from platform.dead_letter"));
    }

    [Fact]
    public async Task A_replayed_event_is_the_same_event_also_when_retention_has_dropped_its_row()
    {
        var hub = new Hub { Accepts = false };
        await using var service = await StartAsync(hub);
        var token = await service.Token("t", Access.Scopes.DeadLettersRead, Access.Scopes.DeadLettersReplay);
        await using var dead = await DeadAsync(service);
        await RaiseAsync(service, "t", "c1");
        var before = (await hub.TriedAsync(1))[0];
        await dead.SeenAsync(1);
        await ScalarAsync(service, "with gone as (delete from platform.event returning 1) select count(*) from gone");

        hub.Accepts = true;
        await service.PostJson("/events/sample/dead-letters/replay?destination=hub", "", token);

        Assert.Equal(before, (await hub.TriedAsync(1))[0]);
    }

    [Fact]
    public async Task A_dead_letter_of_another_tenant_is_not_there()
    {
        var hub = new Hub { Accepts = false };
        await using var service = await StartAsync(hub);
        await using var dead = await DeadAsync(service);
        await RaiseAsync(service, "tenant-a", "c1");
        await dead.SeenAsync(1);
        var id = await ScalarAsync(service, "select id from platform.dead_letter");
        var foreigner = await service.Token("tenant-b", Access.Scopes.DeadLettersRead, Access.Scopes.DeadLettersReplay);

        Assert.Equal("not-found", (await service.PostJson($"/events/sample/dead-letters/{id}/replay", "", foreigner)).Problem());
        Assert.Equal(0, (await service.PostJson("/events/sample/dead-letters/replay?destination=hub", "", foreigner)).Json.GetProperty("replayed").GetInt32());
        Assert.Equal(0, (await service.Get("/events/sample/dead-letters", foreigner)).Json.GetProperty("items").GetArrayLength());
    }

    [Theory]
    [InlineData("GET", "/events/sample/dead-letters")]
    [InlineData("GET", "/events/sample/outbox")]
    [InlineData("POST", "/events/sample/dead-letters/1/replay")]
    [InlineData("POST", "/events/sample/dead-letters/replay?destination=hub")]
    public async Task Nobody_gets_in_without_a_token_and_the_right_scope(string method, string path)
    {
        await using var service = await StartAsync(new Hub());

        Assert.Equal("unauthenticated", (await service.Send(new HttpMethod(method), path)).Problem());
        Assert.Equal("forbidden", (await service.Send(new HttpMethod(method), path, await service.Token("t", Access.Scopes.AuditRead))).Problem());
    }

    [Fact]
    public async Task Replaying_everything_asks_for_the_destination()
    {
        await using var service = await StartAsync(new Hub());

        var answer = await service.PostJson("/events/sample/dead-letters/replay", "", await service.Token("t", Access.Scopes.DeadLettersReplay));

        Assert.Equal("request.invalid", answer.Problem());
        Assert.Equal(["?destination is required"], answer.Errors());
    }

    [Fact]
    public async Task The_outbox_shows_which_lane_is_paused_and_why_and_what_waits_there_for_the_own_tenant()
    {
        var hub = new Hub { IsDown = true };
        await using var service = await StartAsync(hub);
        await using var held = await RowWatch.StartAsync(Database(service).DataSource, "platform.delivery", "update");
        await RaiseAsync(service, "tenant-a", "c1", "c2");
        await RaiseAsync(service, "tenant-b", "c3");
        await held.SeenAsync(1);

        var lane = Assert.Single((await service.Get("/events/sample/outbox", await service.Token("tenant-a", Access.Scopes.DeadLettersRead))).Json.EnumerateArray());

        Assert.Equal(("hub", "paused", "HTTP 503", 2),
            (lane.GetProperty("destination").GetString(), lane.GetProperty("status").GetString(), lane.GetProperty("reason").GetString(), lane.GetProperty("pending").GetInt32()));
        Assert.NotEqual(JsonValueKind.Null, lane.GetProperty("oldest").ValueKind);
    }

    private async Task<Service> StartAsync(Hub hub)
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var service = await Service.Start(
            app =>
            {
                var endpoints = app.MapGroup("").WithGroupName(SampleModule.ModuleName);
                ModuleEndpoint.Apply(endpoints, SampleModule.ModuleName);
                endpoints.MapEvents(SampleModule.ModuleName);
            },
            settings: [($"ConnectionStrings:{SampleModule.ModuleName}-db", database)],
            add: builder =>
            {
                var module = new ModuleBuilder(new SampleModule(), builder);
                module.AddPlatform(typeof(SampleModule).Assembly);
                module.Route(Opened, "hub");
                builder.Services.AddKeyedSingleton<IDestination>(module.Name, hub);
                builder.Services.AddSingleton(TimeProvider.System);
            });
        await Database(service).WhenReadyAsync(Cancellation).Soon();
        return service;
    }

    private static ModuleDatabase Database(Service service) => service.App.Services.GetRequiredKeyedService<ModuleDatabase>(SampleModule.ModuleName);

    private static Task<RowWatch> DeadAsync(Service service) => RowWatch.StartAsync(Database(service).DataSource, "platform.dead_letter", "insert");

    private static async Task RaiseAsync(Service service, string tenant, params string[] subjects)
    {
        await using (var connection = await Database(service).OpenAsync(Cancellation))
        {
            await service.App.Services.GetRequiredKeyedService<SetSave>(SampleModule.ModuleName).WriteEventsAsync(
                connection, tenant, TimeProvider.System.GetUtcNow(),
                [.. subjects.Select(subject => new EntityEvent("ticket", subject, 1, 0, new NewEvent(Opened, """{"text":"é"}""")))], Cancellation);
        }

        service.App.Services.GetRequiredKeyedService<OutboxSignal>(SampleModule.ModuleName).Committed(["hub"]);
    }

    private static async Task<long> ScalarAsync(Service service, string sql)
    {
        await using var command = Database(service).DataSource.CreateCommand(sql);
        return (long)(await command.ExecuteScalarAsync(Cancellation) ?? -1L);
    }

    private sealed class Hub : IDestination
    {
        private readonly Channel<EventEnvelope> _tried = Channel.CreateUnbounded<EventEnvelope>();

        public string Name => "hub";

        public bool Accepts { get; set; } = true;

        public bool IsDown { get; init; }

        public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
        {
            await _tried.Writer.WriteAsync(envelope, cancellation);
            return IsDown ? new DeliveryOutcome.Unavailable("HTTP 503") : Accepts ? DeliveryOutcome.Done : new DeliveryOutcome.Rejected("HTTP 422");
        }

        public async Task<List<EventEnvelope>> TriedAsync(int count)
        {
            var tried = new List<EventEnvelope>();
            while (tried.Count < count)
            {
                tried.Add(await _tried.Reader.ReadAsync(Cancellation).AsTask().Soon());
            }

            return tried;
        }
    }
}
