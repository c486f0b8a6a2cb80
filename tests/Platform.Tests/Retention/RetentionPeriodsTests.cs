using Microsoft.Extensions.Configuration;
using Wave16.Platform.Retention;

namespace Wave16.Platform.Tests.Retention;

public sealed class RetentionPeriodsTests
{
    private static readonly RetainedTable[] Tables = [RetainedTable.Event, RetainedTable.DeadLetter, RetainedTable.Command];

    [Fact]
    public void Unless_told_otherwise_answers_are_kept_as_long_as_an_event_can_come_again()
    {
        var periods = Read();

        Assert.Equal((7, 14, 30, 60), (Days("Events"), Days("UndeliveredEvents"), Days("DeadLetters"), Days("Commands")));

        double Days(string setting) => periods[setting].TotalDays;
    }

    [Fact]
    public void A_setting_is_whole_days() => Assert.Equal(TimeSpan.FromDays(10), Read(("Events", "10"))["Events"]);

    [Theory]
    [InlineData("Events", "soon", "Retention:Events is 'soon': whole days are expected, from 1 to 3650.")]
    [InlineData("Events", "0", "Retention:Events is '0': whole days are expected, from 1 to 3650.")]
    [InlineData("DeadLetters", "-1", "Retention:DeadLetters is '-1': whole days are expected, from 1 to 3650.")]
    [InlineData("Events", "15", "Retention:UndeliveredEvents (14 days) is shorter than Retention:Events (15)")]
    [InlineData("Commands", "43", "Retention:Commands (43 days) is too short: an event can come again for 44 days")]
    [InlineData("DeadLetters", "50", "Retention:Commands (60 days) is too short: an event can come again for 64 days")]
    public void A_period_that_cannot_be_is_refused_with_what_is_expected(string setting, string value, string because) =>
        Assert.StartsWith(because, Assert.Throws<InvalidOperationException>(() => Read((setting, value))).Message, StringComparison.Ordinal);

    private static RetentionPeriods Read(params (string Setting, string Value)[] given) => new(
        new ConfigurationBuilder().AddInMemoryCollection(given.Select(one => KeyValuePair.Create<string, string?>($"Retention:{one.Setting}", one.Value))).Build(),
        Tables);
}
