using System.Diagnostics.Metrics;
using System.Threading.Channels;

namespace Wave16.Platform.Tests;

/// <summary>What one instrument of one host measures, as it comes.</summary>
internal sealed class Measurements : IDisposable
{
    private readonly Channel<(string Tags, double Value)> _measured = Channel.CreateUnbounded<(string, double)>();
    private readonly MeterListener _listener = new();

    public Measurements(IMeterFactory meters, string name)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == name && instrument.Meter.Scope == meters)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((_, value, tags, _) => Take(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, _) => Take(value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, _) => Take(value, tags));
        _listener.Start();
    }

    /// <summary>The next one; the values of its tags with blanks between them.</summary>
    public Task<(string Tags, double Value)> NextAsync(CancellationToken cancellation) => _measured.Reader.ReadAsync(cancellation).AsTask();

    /// <summary>Observes what is only measured when asked.</summary>
    public void Observe() => _listener.RecordObservableInstruments();

    public void Dispose() => _listener.Dispose();

    private void Take(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var values = new List<string?>();
        foreach (var tag in tags)
        {
            values.Add(tag.Value?.ToString());
        }

        _measured.Writer.TryWrite((string.Join(' ', values), value));
    }
}
