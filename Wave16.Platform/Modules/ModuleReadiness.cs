using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>Whether a module's schema is up, and if not, why. Its endpoints answer 503 until it is.</summary>
internal sealed class ModuleReadiness(string module) : IReadiness
{
    private volatile string? _because = "the schema has not been checked yet";

    public string Name => $"{module}-schema";

    public string? NotReadyBecause => _because;

    public void Ready() => _because = null;

    public void NotReady(string because) => _because = because;
}
