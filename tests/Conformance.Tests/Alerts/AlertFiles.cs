using System.Globalization;
using System.Text;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>The same rules as Prometheus reads them and as Azure Monitor's managed Prometheus does.</summary>
internal static class AlertFiles
{
    // Azure Monitor's limit, learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits: rules in a rule group.
    private const int MostInAzure = 20;

    private static readonly string Parameters = """

        @description('Region of the Azure Monitor workspace.')
        param location string

        @description('The Azure Monitor workspace that holds the metrics.')
        param workspaceId string

        @description('Action groups that wake somebody.')
        param pageActionGroupIds array

        @description('Action groups that somebody looks at on the next working day.')
        param ticketActionGroupIds array

        """.ReplaceLineEndings("\n");

    /// <summary>Azure Monitor: 0 is critical, 1 an error, 2 a warning, 3 informational.</summary>
    private static int SeverityInAzure(Urgency severity) => severity is Urgency.Page ? 1 : 3;

    public static string Prometheus(ServiceLevels levels)
    {
        var file = new StringBuilder();
        file.Append(Heading("#", levels)).Append("groups:\n");
        Group(file, $"{levels.Service}-levels", AlertRules.Recorded(levels), rule => file
            .Append(Invariant($"      - record: {rule.Series}\n"))
            .Append(Block(rule))
            .Append(Invariant($"        labels:\n          service: {levels.Service}\n          objective: {rule.Objective}\n")));
        Group(file, levels.Service, AlertRules.Alerting(levels), rule => file
            .Append(Invariant($"      - alert: {rule.Name}\n"))
            .Append(Block(rule))
            .Append(rule.For is null ? "" : Invariant($"        for: {rule.For}\n"))
            .Append(Invariant($"        labels:\n          severity: {Kebab(rule.Severity)}\n          service: {levels.Service}\n"))
            .Append(Invariant($"        annotations:\n          summary: {InYaml(rule.Summary)}\n          runbook: {rule.Runbook}\n")));
        return file.ToString();
    }

    /// <summary>Two resources <c>Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01</c>.</summary>
    public static string Bicep(ServiceLevels levels)
    {
        var file = new StringBuilder();
        file.Append(Heading("//", levels)).Append(Parameters).Append("""

            var page = [for id in pageActionGroupIds: { actionGroupId: id }]
            var ticket = [for id in ticketActionGroupIds: { actionGroupId: id }]

            """.ReplaceLineEndings("\n"));
        Resource(file, "levels", $"wave16-{levels.Service}-levels", AlertRules.Recorded(levels), rule => file
            .Append("      {\n")
            .Append(Invariant($"        record: {Quoted(rule.Series)}\n        expression: {Quoted(OneLine(rule))}\n"))
            .Append(Invariant($"        labels: {{\n          service: {Quoted(levels.Service)}\n          objective: {Quoted(rule.Objective)}\n        }}\n      }}\n")));
        Resource(file, "alerts", $"wave16-{levels.Service}", AlertRules.Alerting(levels), rule => file
            .Append("      {\n")
            .Append(Invariant($"        alert: {Quoted(rule.Name)}\n        expression: {Quoted(OneLine(rule))}\n"))
            .Append(rule.For is null ? "" : Invariant($"        for: 'PT{rule.For.ToUpperInvariant()}'\n"))
            .Append(Invariant($"        severity: {SeverityInAzure(rule.Severity)}\n        actions: {Kebab(rule.Severity)}\n"))
            .Append("        resolveConfiguration: {\n          autoResolved: true\n          timeToResolve: 'PT10M'\n        }\n")
            .Append(Invariant($"        labels: {{\n          severity: {Quoted(Kebab(rule.Severity))}\n          service: {Quoted(levels.Service)}\n        }}\n"))
            .Append(Invariant($"        annotations: {{\n          summary: {Quoted(rule.Summary)}\n          runbook: {Quoted(rule.Runbook)}\n        }}\n      }}\n")));
        return file.ToString();
    }

    private static void Group<T>(StringBuilder file, string name, IReadOnlyList<T> rules, Action<T> write)
    {
        if (rules.Count == 0)
        {
            return;
        }

        file.Append(Invariant($"  - name: {name}\n    rules:\n"));
        foreach (var rule in rules)
        {
            write(rule);
        }
    }

    private static void Resource<T>(StringBuilder file, string symbol, string name, IReadOnlyList<T> rules, Action<T> write)
    {
        if (rules.Count == 0)
        {
            return;
        }

        if (rules.Count > MostInAzure)
        {
            throw new InvalidOperationException($"{name}: {rules.Count} rules, and Azure Monitor takes {MostInAzure} in a group.");
        }

        file.Append(Invariant($"\nresource {symbol} 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {{\n  name: {Quoted(name)}\n  location: location\n"))
            .Append("  properties: {\n    scopes: [\n      workspaceId\n    ]\n    interval: 'PT1M'\n    rules: [\n");
        foreach (var rule in rules)
        {
            write(rule);
        }

        file.Append("    ]\n  }\n}\n");
    }

    private static string Heading(string comment, ServiceLevels levels) => string.Concat(((string[])
    [
        $"Generated from modules/{levels.Service}/docs/slo.yaml, and not edited by hand; infra/README.md says how. job is the scrape job,",
        "named like the module, or service.name where metrics come over OTLP.",
    ]).Select(line => $"{comment} {line}\n"));

    private static string Block(Rule rule) => $"        expr: |\n{string.Concat(rule.Expression.Select(line => $"          {line}\n"))}";

    private static string OneLine(Rule rule) => string.Join(' ', rule.Expression.Select(line => line.Trim()));

    /// <summary>The rules of every module: what <c>main.bicep</c> deploys.</summary>
    public static string Bicep(IEnumerable<string> modules)
    {
        var file = new StringBuilder("// Generated, one for each module with service levels, and not edited by hand; infra/README.md says how.\n").Append(Parameters);
        foreach (var module in modules)
        {
            file.Append(Invariant($$"""

                module {{module.Replace('-', '_')}} 'alerts/{{module}}.bicep' = {
                  name: 'alerts-{{module}}'
                  params: {
                    location: location
                    workspaceId: workspaceId
                    pageActionGroupIds: pageActionGroupIds
                    ticketActionGroupIds: ticketActionGroupIds
                  }
                }

                """).ReplaceLineEndings("\n"));
        }

        return file.ToString();
    }

    /// <summary>A Bicep string literal.</summary>
    private static string Quoted(string text) =>
        $"'{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal).Replace("${", "\\${", StringComparison.Ordinal)}'";

    private static string InYaml(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";

    private static string Kebab(Urgency severity) => severity is Urgency.Page ? "page" : "ticket";

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
