using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.Json;
using Wave16.Standalone;

namespace Wave16.Conformance.Tests;

/// <summary>A module's documents are all there, and what they name exists.</summary>
public sealed class DocumentTests(Hosts hosts)
{
    private static readonly string[] Expected =
    [
        "README.md", "docs-hub.yaml", "openapi.json",
        "docs/runbook.md", "docs/diagram.mmd", "docs/onboarding.md", "docs/threats.md", "docs/slo.yaml", "docs/schema.txt",
    ];

    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    [Theory]
    [MemberData(nameof(Modules))]
    public void Every_document_is_there_and_says_something(string module) => Assert.Empty(
        from document in Expected
        let file = new FileInfo(Repository.InModule(module, document))
        where !file.Exists || file.Length == 0
        select document);

    [Theory]
    [MemberData(nameof(Modules))]
    public void The_documentation_hub_lists_documents_that_exist_and_exactly_the_documented_operations(string module)
    {
        var hub = YamlFile.Read(Repository.InModule(module, "docs-hub.yaml"));
        Assert.Equal(module, Text(hub, "service"));
        Assert.DoesNotContain(
            hub.GetProperty("docs").EnumerateObject().Select(document => document.Value.GetString() ?? "").Append(Text(hub.GetProperty("spec"), "openapi")),
            path => !Path.Exists(Repository.InModule(module, path)));
        var document = JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(Repository.InModule(module, "openapi.json")));
        var documented = OpenApiDocument.Operations(document).Select(operation => Text(operation.Definition, "operationId")).ToList();
        var listed = hub.GetProperty("endpoints").EnumerateArray().Select(endpoint => Text(endpoint, "operation")).ToList();
        Assert.Empty(documented.Except(listed, StringComparer.Ordinal).Select(operation => $"{operation} is not among the endpoints"));
        Assert.Empty(listed.Except(documented, StringComparer.Ordinal).Select(operation => $"{operation} is no operation of openapi.json"));
        Assert.Equal(documented.Count, listed.Count);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_service_level_is_measured_by_a_metric_the_module_has(string module)
    {
        await hosts.AloneAsync(module);
        var instruments = Instruments();
        var objectives = YamlFile.Read(Repository.InModule(module, "docs", "slo.yaml")).GetProperty("objectives").EnumerateArray().ToList();
        Assert.NotEmpty(objectives);
        Assert.All(objectives, objective => Assert.InRange(objective.GetProperty("target").GetDouble(), 50, 100));
        Assert.Empty(objectives.Select(objective => Text(objective.GetProperty("indicator"), "metric")).Except(instruments));
    }

    private static HashSet<string> Instruments()
    {
        // Other hosts may publish at the same time.
        var names = new ConcurrentDictionary<string, bool>(StringComparer.Ordinal);
        using var listener = new MeterListener { InstrumentPublished = (instrument, _) => names.TryAdd(instrument.Name, true) };
        listener.Start();
        return [.. names.Keys];
    }

    private static string Text(JsonElement element, string member) => element.GetProperty(member).GetString() ?? "";
}
