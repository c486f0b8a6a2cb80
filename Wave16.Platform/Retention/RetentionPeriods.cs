using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace Wave16.Platform.Retention;

/// <summary>Configuration section <c>Retention</c>: whole days, for every table of this process that is registered under the setting.</summary>
internal sealed class RetentionPeriods
{
    public const string Events = "Events";
    public const string UndeliveredEvents = "UndeliveredEvents";
    public const string DeadLetters = "DeadLetters";
    public const string Commands = "Commands";

    private const int UndeliveredDays = 14;
    private const int MostDays = 3650;
    private readonly Dictionary<string, TimeSpan> _periods = new(StringComparer.Ordinal);

    /// <exception cref="InvalidOperationException">A period is no number of days, or shorter than another needs it to be.</exception>
    public RetentionPeriods(IConfiguration configuration, IEnumerable<RetainedTable> tables)
    {
        Read(UndeliveredEvents, UndeliveredDays);
        foreach (var table in tables)
        {
            Read(table.Setting, table.Days);
        }

        if (this[UndeliveredEvents] < this[Events])
        {
            throw new InvalidOperationException(
                $"Retention:{UndeliveredEvents} ({Days(UndeliveredEvents)} days) is shorter than Retention:{Events} ({Days(Events)}): an event is kept at least as long when it is not delivered yet.");
        }

        // Until then a lane may repeat the delivery, and afterwards an operator its dead letter; an HTTP key (24 h) is forgotten before.
        var repeatable = this[UndeliveredEvents] + this[DeadLetters];
        if (this[Commands] < repeatable)
        {
            throw new InvalidOperationException(
                $"Retention:{Commands} ({Days(Commands)} days) is too short: an event can come again for {repeatable.TotalDays:F0} days (Retention:{UndeliveredEvents} and Retention:{DeadLetters} together), and would be handled a second time.");
        }

        void Read(string setting, int days)
        {
            if (configuration[$"Retention:{setting}"] is { Length: > 0 } given
                && (!int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out days) || days is < 1 or > MostDays))
            {
                throw new InvalidOperationException($"Retention:{setting} is '{given}': whole days are expected, from 1 to {MostDays}.");
            }

            _periods[setting] = TimeSpan.FromDays(days);
        }

        int Days(string setting) => (int)this[setting].TotalDays;
    }

    public TimeSpan this[string setting] => _periods[setting];
}
