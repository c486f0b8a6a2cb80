namespace Wave16.Neighbours;

/// <summary>One surrounding system's contract, honoured in memory.</summary>
internal interface IStandIn
{
    string Name { get; }

    /// <summary>A larger body is answered 413.</summary>
    int MaxBodyBytes { get; }

    /// <summary>Maps the system's paths, relative to its own root. <c>/faults</c> and <c>/received</c> are not its to use.</summary>
    void Map(IEndpointRouteBuilder system);
}

internal sealed record Neighbour(IStandIn StandIn, FaultSwitch Faults, ReceivedLog Received, Intake Intake)
{
    public string Name => StandIn.Name;
}

internal sealed class Neighbourhood
{
    public Neighbourhood(IEnumerable<IStandIn> standIns, TimeProvider time, IHostApplicationLifetime lifetime) =>
        All =
        [
            .. standIns.OrderBy(standIn => standIn.Name, StringComparer.Ordinal).Select(standIn =>
            {
                var faults = new FaultSwitch();
                var received = new ReceivedLog(time);
                return new Neighbour(standIn, faults, received, new Intake(standIn, faults, received, time, lifetime.ApplicationStopping));
            }),
        ];

    public IReadOnlyList<Neighbour> All { get; }
}
