using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Infrastructure;

/// <summary>
/// The Bicep written here fits Azure's resource types. Where the Bicep CLI can be had it says more; this stands in for it.
/// </summary>
public sealed partial class BicepTests
{
    /// <summary>
    /// Members of each object we write, <c>!</c> behind those that are required. Source: github.com/Azure/bicep-types-az, generated/…/types.md of
    /// the same type and version, which is generated from Azure's REST specifications.
    /// </summary>
    private static readonly Dictionary<string, Dictionary<string, string>> Types = new(StringComparer.Ordinal)
    {
        ["Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01"] = new(StringComparer.Ordinal)
        {
            [""] = "name! location! properties! tags",
            ["properties"] = "rules! scopes! clusterName description enabled interval",
            ["properties.rules[]"] = "expression! record alert enabled for severity actions labels annotations resolveConfiguration",
            ["properties.rules[].resolveConfiguration"] = "autoResolved timeToResolve",
            ["properties.rules[].labels"] = "*",
            ["properties.rules[].annotations"] = "*",
        },
        ["Microsoft.Monitor/accounts@2023-04-03"] = new(StringComparer.Ordinal) { [""] = "name! location! properties tags" },
        ["Microsoft.Insights/dataCollectionEndpoints@2022-06-01"] = new(StringComparer.Ordinal)
        {
            [""] = "name! location! kind properties tags identity",
            ["properties"] = "description immutableId networkAcls configurationAccess logsIngestion metricsIngestion",
        },
        ["Microsoft.Insights/dataCollectionRules@2022-06-01"] = new(StringComparer.Ordinal)
        {
            [""] = "name! location! kind properties tags identity",
            ["properties"] = "dataCollectionEndpointId dataFlows dataSources description destinations streamDeclarations",
            ["properties.dataSources"] = "prometheusForwarder",
            ["properties.dataSources.prometheusForwarder[]"] = "name streams labelIncludeFilter",
            ["properties.dataSources.prometheusForwarder[].labelIncludeFilter"] = "*",
            ["properties.destinations"] = "monitoringAccounts",
            ["properties.destinations.monitoringAccounts[]"] = "name accountResourceId",
            ["properties.dataFlows[]"] = "streams destinations builtInTransform outputStream transformKql",
        },
        ["Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31"] = new(StringComparer.Ordinal) { [""] = "name! location! tags" },
        ["Microsoft.Authorization/roleAssignments@2022-04-01"] = new(StringComparer.Ordinal)
        {
            // Scope is Bicep's own.
            [""] = "name! properties! scope",
            ["properties"] = "principalId! roleDefinitionId! principalType condition conditionVersion description delegatedManagedIdentityResourceId",
        },
        ["Microsoft.App/managedEnvironments@2024-03-01"] = new(StringComparer.Ordinal) { [""] = "name! location! kind properties tags" },
        ["Microsoft.App/containerApps@2024-03-01"] = new(StringComparer.Ordinal)
        {
            [""] = "name! location! identity properties tags extendedLocation managedBy dependsOn",
            ["identity"] = "type! userAssignedIdentities",
            ["identity.userAssignedIdentities"] = "*",
            ["identity.userAssignedIdentities.'${identity.id}'"] = "*",
            ["properties"] = "managedEnvironmentId environmentId configuration template workloadProfileName",
            ["properties.configuration"] = "activeRevisionsMode ingress secrets registries dapr maxInactiveRevisions service",
            ["properties.configuration.ingress"] = "external targetPort transport allowInsecure exposedPort traffic",
            ["properties.configuration.secrets[]"] = "name value identity keyVaultUrl",
            ["properties.template"] = "containers initContainers revisionSuffix scale serviceBinds terminationGracePeriodSeconds volumes",
            ["properties.template.containers[]"] = "name image args command env probes resources volumeMounts",
            ["properties.template.containers[].env[]"] = "name value secretRef",
            ["properties.template.containers[].resources"] = "cpu memory",
            ["properties.template.containers[].probes[]"] = "type httpGet tcpSocket failureThreshold initialDelaySeconds periodSeconds successThreshold timeoutSeconds",
            ["properties.template.containers[].probes[].httpGet"] = "port! path host httpHeaders scheme",
            ["properties.template.containers[].volumeMounts[]"] = "volumeName mountPath subPath",
            ["properties.template.scale"] = "minReplicas maxReplicas rules",
            ["properties.template.volumes[]"] = "name storageType storageName secrets mountOptions",
            ["properties.template.volumes[].secrets[]"] = "secretRef path",
        },
        ["Microsoft.Insights/workbooks@2022-04-01"] = new(StringComparer.Ordinal)
        {
            [""] = "name! location! kind properties tags identity",
            ["properties"] = "category! displayName! serializedData! description sourceId storageUri tags version",
        },
    };

    public static TheoryData<string> Files =>
        [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "infra", "azure"), "*.bicep", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(Repository.Root, path).Replace('\\', '/'))];

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_resource_has_the_members_its_type_requires_and_none_that_it_does_not_know(string file)
    {
        var bicep = Read(file);
        Assert.NotEmpty(bicep.Declarations);
        Assert.Empty(bicep.Declarations.Where(declaration => !declaration.Type.EndsWith(".bicep", StringComparison.Ordinal)).SelectMany(Faults));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_module_is_a_file_and_is_given_its_parameters(string file) => Assert.Empty(
        from module in Read(file).Modules
        let path = Path.Combine(Path.GetDirectoryName(file) ?? "", module.File)
        let expected = Read(path).Parameters
        from fault in module.Objects["params"].Except(expected.Keys).Select(name => $"{module.File} has no {name}")
            .Concat(expected.Where(parameter => !parameter.Value).Select(parameter => parameter.Key).Except(module.Objects["params"]).Select(name => $"{module.File} needs {name}"))
        select fault);

    [Fact]
    public void What_is_loaded_from_a_file_is_there() => Assert.All(
        Loaded().Matches(File.ReadAllText(Path.Combine(Repository.Root, "infra", "azure", "main.bicep"))),
        match => Assert.True(File.Exists(Path.Combine(Repository.Root, "infra", "azure", match.Groups["path"].Value)), match.Value));

    [Fact]
    public void A_missing_member_one_that_is_not_known_and_an_object_of_no_type_are_found()
    {
        var planted = Bicep.Parse("""
            param location string
            resource group 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {
              name: 'planted {'
              location: location
              properties: {
                rules: [
                  {
                    expression: 'up'
                  }
                  {
                    expr: 'a{b="}"}'
                    retries: {
                      most: 3
                    }
                  }
                ]
              }
            }
            """);

        Assert.Equal(
            ["group: properties has no scopes", "group: properties.rules[1] has no expression", "group: properties.rules[1].expr is not known", "group: properties.rules[1].retries is not known", "group: properties.rules[1].retries is of no type"],
            Faults(Assert.Single(planted.Declarations)));
        Assert.Throws<FormatException>(() => Bicep.Parse("resource group 'A/b@1' = {\n  name: [\n  }\n  ]\n}\n"));
    }

    private static Bicep Read(string file) => Bicep.Parse(File.ReadAllText(Path.Combine(Repository.Root, file)));

    private static IEnumerable<string> Faults(BicepDeclaration declaration)
    {
        var type = Types[declaration.Type];
        foreach (var (path, members) in declaration.Objects.OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            if (!type.TryGetValue(Index().Replace(path, "[]"), out var known))
            {
                yield return $"{declaration.Symbol}: {path} is of no type";
                continue;
            }

            if (known == "*")
            {
                continue;
            }

            var at = path.Length == 0 ? "it" : path;
            var names = known.Split(' ');
            foreach (var missing in names.Where(name => name.EndsWith('!')).Select(name => name[..^1]).Except(members, StringComparer.Ordinal).Where(name => !declaration.Existing || name == "name"))
            {
                yield return $"{declaration.Symbol}: {at} has no {missing}";
            }

            foreach (var unknown in members.Except(names.Select(name => name.TrimEnd('!')), StringComparer.Ordinal))
            {
                yield return $"{declaration.Symbol}: {at}.{unknown} is not known";
            }
        }
    }

    [GeneratedRegex(@"\[\d+\]")]
    private static partial Regex Index();

    [GeneratedRegex(@"loadTextContent\('(?<path>[^']+)'\)", RegexOptions.ExplicitCapture)]
    private static partial Regex Loaded();
}
