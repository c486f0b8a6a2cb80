using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

internal sealed class SiloReadiness(ISiloStatusOracle membership) : IReadiness
{
    public string Name => "silo";

    public string? NotReadyBecause => membership.CurrentStatus is SiloStatus.Active
        ? null
        : $"the silo is {membership.CurrentStatus.ToString().ToLowerInvariant()}";
}
