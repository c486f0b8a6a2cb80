using System.Text.Json;
using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Infrastructure;

/// <summary>The collector's pipelines are made of what its file defines, and refuse before they run out of memory.</summary>
public sealed partial class CollectorTests
{
    [Fact]
    public void Every_component_of_a_pipeline_is_defined_and_the_memory_limiter_comes_first() => Assert.Empty(Faults(
        YamlFile.Read(Path.Combine(Repository.Root, "infra", "otel-collector.yaml"))));

    [Fact]
    public void Whatever_the_environment_may_choose_and_the_comment_names_is_an_exporter()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "infra", "otel-collector.yaml"));
        var named = Chosen().Matches(text).SelectMany(match => Names(match.Groups["names"].Value)).ToHashSet(StringComparer.Ordinal);
        Assert.Equal(["azuremonitor", "debug", "prometheus", "prometheusremotewrite"], named.Order(StringComparer.Ordinal));
        Assert.Equal(named.Order(StringComparer.Ordinal), YamlFile.Parse(text).GetProperty("exporters").EnumerateObject().Select(exporter => exporter.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void An_exporter_that_is_not_defined_and_a_limiter_that_comes_late_are_found() => Assert.Equal(
        ["traces: nobody is no exporter", "traces: the memory limiter is not first", "who is no extension"],
        Faults(YamlFile.Parse("""
            receivers: { otlp: {} }
            processors: { batch: {}, memory_limiter: {} }
            exporters: { debug: {} }
            extensions: {}
            service:
              extensions: [who]
              pipelines:
                traces: { receivers: [otlp], processors: [batch, memory_limiter], exporters: [debug, nobody] }
            """)));

    private static IEnumerable<string> Faults(JsonElement collector)
    {
        foreach (var pipeline in collector.GetProperty("service").GetProperty("pipelines").EnumerateObject())
        {
            foreach (var kind in (string[])["receiver", "processor", "exporter"])
            {
                foreach (var name in Names(pipeline.Value.GetProperty(kind + "s").ToString()).Where(name => !collector.GetProperty(kind + "s").TryGetProperty(name, out _)))
                {
                    yield return $"{pipeline.Name}: {name} is no {kind}";
                }
            }

            if (Names(pipeline.Value.GetProperty("processors").ToString()).First() != "memory_limiter")
            {
                yield return $"{pipeline.Name}: the memory limiter is not first";
            }
        }

        foreach (var name in Names(collector.GetProperty("service").GetProperty("extensions").ToString()).Where(name => !collector.GetProperty("extensions").TryGetProperty(name, out _)))
        {
            yield return $"{name} is no extension";
        }
    }

    /// <summary>A list, or a variable's default that is one: <c>${env:NAME:-[a, b]}</c>.</summary>
    private static IEnumerable<string> Names(string list) => Name().Matches(Variable().Replace(list, "")).Select(name => name.Value);

    [GeneratedRegex(@"\$\{env:[A-Z_]+:-")]
    private static partial Regex Variable();

    [GeneratedRegex("[a-z_]+")]
    private static partial Regex Name();

    [GeneratedRegex(@"default \[(?<names>[a-z]+)\]|:-\[(?<names>[a-z]+)\]|e\.g\. \[(?<names>[a-z]+)\]", RegexOptions.ExplicitCapture)]
    private static partial Regex Chosen();
}
