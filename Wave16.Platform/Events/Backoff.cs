using System.Runtime.InteropServices;

namespace Wave16.Platform.Events;

/// <summary>Exponential backoff: each wait's ceiling is twice that of the one before.</summary>
/// <param name="First">The ceiling of the first wait.</param>
/// <param name="Longest">No ceiling is higher.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct Backoff(TimeSpan First, TimeSpan Longest)
{
    /// <summary>The wait after the <paramref name="times"/>th failure in a row, with full jitter: anything up to the ceiling.</summary>
    public TimeSpan Any(int times) => Ceiling(times) * Random.Shared.NextDouble();

    /// <summary>The same with less jitter: never less than half the ceiling.</summary>
    public TimeSpan AtLeastHalf(int times) => Ceiling(times) * (0.5 + (Random.Shared.NextDouble() / 2));

    private TimeSpan Ceiling(int times)
    {
        var ceiling = First * Math.Pow(2, Math.Clamp(times, 1, 20) - 1);
        return ceiling < Longest ? ceiling : Longest;
    }
}
