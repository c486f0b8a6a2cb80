namespace Wave16.Conformance.Tests;

/// <summary>What the conformance list must be told of a module to try it: its paths and how something comes to be there.</summary>
public abstract class ModuleSample
{
    private static readonly Dictionary<string, ModuleSample> All = typeof(ModuleSample).Assembly.GetTypes()
        .Where(type => type.IsSubclassOf(typeof(ModuleSample))).Select(Activator.CreateInstance).OfType<ModuleSample>()
        .ToDictionary(sample => sample.Module, StringComparer.Ordinal);

    /// <summary>The module's sample.</summary>
    /// <exception cref="InvalidOperationException">A module that was added needs a sample.</exception>
    public static ModuleSample Of(string module) => All.GetValueOrDefault(module)
        ?? throw new InvalidOperationException($"{module} has no sample: write a class in tests/Conformance.Tests/Samples that derives from ModuleSample.");

    /// <summary>The module's name.</summary>
    public abstract string Module { get; }

    /// <summary>The static class of the module's contracts that names its event types.</summary>
    public abstract Type EventTypes { get; }

    /// <summary>Roles that together may read and change.</summary>
    public abstract string[] Roles { get; }

    /// <summary>A list with pages: <c>/findings</c>.</summary>
    public abstract string List { get; }

    /// <summary>A filter that the list has.</summary>
    public abstract string Filter { get; }

    /// <summary>Where a POST takes JSON.</summary>
    public abstract string JsonPost { get; }

    /// <summary>JSON for <see cref="JsonPost"/> in which one field has a value of the wrong kind, and that field's JSON pointer.</summary>
    public abstract (string Body, string Pointer) BadField { get; }

    /// <summary>Operations whose body has a format that others publish and may add to: <c>POST /findings/tickets/webhook</c>.</summary>
    public virtual string[] PublishedBodies => [];

    /// <summary>A neighbour that the module tells something of what happens to an entity; every module tells <c>audit-trail</c>.</summary>
    public abstract string Neighbour { get; }

    /// <summary>Makes so many entities and returns their paths.</summary>
    public abstract Task<IReadOnlyList<string>> MakeAsync(HttpClient client, int count);

    /// <summary>A POST that creates: the same for the same variant, another body for another.</summary>
    public abstract HttpRequestMessage Create(int variant);

    /// <summary>A change of a fresh entity, without If-Match.</summary>
    public abstract HttpRequestMessage Change(string entity);

    /// <summary>Requests whose answers show the forms that the document names, each with its operation: <c>GET /findings/{id}</c>.</summary>
    public abstract IEnumerable<(string Operation, HttpRequestMessage Request)> Ask(string entity);

    /// <summary>Makes every event of <see cref="EventTypes"/> happen, and something the <see cref="Neighbour"/> is told.</summary>
    public abstract Task RaiseEverythingAsync(HttpClient client);
}
