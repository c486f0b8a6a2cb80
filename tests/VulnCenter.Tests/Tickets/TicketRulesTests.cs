using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tickets;
using static Wave16.VulnCenter.Contracts.TicketState;

namespace Wave16.VulnCenter.Tests.Tickets;

public sealed class TicketRulesTests
{
    private static readonly DateTimeOffset Since = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private static readonly Dictionary<string, TicketCommand> Commands = new(StringComparer.Ordinal)
    {
        ["opened"] = new TicketCommand.Opened(new HubTicket("SEC-1", Open, "https://hub.test/SEC-1", Since.AddMinutes(1))),
        ["refused"] = new TicketCommand.Refused("HTTP 422"),
        ["newer"] = new TicketCommand.Reported(Closed, Since.AddTicks(10), null),
        ["stale"] = new TicketCommand.Reported(Closed, Since, null),
    };

    /// <summary>Every (state, command) pair and the state it leads to; the same one where it changes nothing.</summary>
    public static TheoryData<TicketState, string, TicketState> Table => new()
    {
        { Requested, "opened", Open }, { Requested, "refused", Failed }, { Requested, "newer", Requested }, { Requested, "stale", Requested },
        { Failed, "opened", Open }, { Failed, "refused", Failed }, { Failed, "newer", Failed }, { Failed, "stale", Failed },
        { Open, "opened", Open }, { Open, "refused", Open }, { Open, "newer", Closed }, { Open, "stale", Open },
        { InProgress, "opened", InProgress }, { InProgress, "refused", InProgress }, { InProgress, "newer", Closed }, { InProgress, "stale", InProgress },
        { Resolved, "opened", Resolved }, { Resolved, "refused", Resolved }, { Resolved, "newer", Closed }, { Resolved, "stale", Resolved },
        { Closed, "opened", Closed }, { Closed, "refused", Closed }, { Closed, "newer", Closed }, { Closed, "stale", Closed },
    };

    [Theory, MemberData(nameof(Table))]
    public void Every_state_answers_every_command_as_the_table_says(TicketState state, string command, TicketState expected)
    {
        var decided = TicketRules.Decide(Ticket(state), Commands[command], Since.AddHours(1));
        Assert.Equal(expected, decided?.Ticket.State ?? state);
        Assert.Equal(decided is null ? null : 4, decided?.Ticket.Version);
    }

    [Fact]
    public void The_table_has_a_row_for_every_pair() => Assert.Equal(
        Enum.GetValues<TicketState>().Length * Commands.Count, Table.Select(row => (row.Data.Item1, row.Data.Item2)).Distinct().Count());

    [Fact]
    public void A_ticket_that_comes_back_stands_beside_the_one_that_took_its_place()
    {
        var reopened = TicketRules.Decide(Ticket(Closed), new TicketCommand.Reported(Open, Since.AddHours(1), null), Since)?.Ticket;
        var replayed = TicketRules.Decide(Ticket(Failed), Commands["opened"], Since)?.Ticket;
        Assert.Equal((true, true), (reopened?.Additional, replayed?.Additional));
    }

    [Fact]
    public void A_long_title_is_cut_between_characters_and_is_whole_in_the_description()
    {
        var title = new string('a', 253) + "😀😀";
        var body = TicketRules.BodyOf(new TicketSubject(Guid.Empty, title, Severity.Unknown), new TicketRequest("jira"), new Uri("https://wave16.test/"));
        Assert.Equal((new string('a', 253) + "…", null), (body.Title, body.Severity));
        Assert.StartsWith(title, body.Description, StringComparison.Ordinal);
    }

    private static TicketEntity Ticket(TicketState state) => new()
    {
        Tenant = "acme",
        Id = Guid.Empty,
        Version = 3,
        Finding = Guid.Empty,
        Connector = "jira",
        State = state,
        Request = "{}",
        Additional = false,
        Key = null,
        Link = null,
        StateSince = Since,
        Problem = null,
        RequestedBy = "alice",
        RequestedAt = Since,
        AuditHash = [],
    };
}
