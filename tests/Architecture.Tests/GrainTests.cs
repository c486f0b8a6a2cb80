using System.Reflection;
using Wave16.Platform.Modules;

namespace Wave16.Architecture.Tests;

/// <summary>Names on the wire are stated, so that renaming a class changes nothing between replicas; and every call can be cancelled.</summary>
public sealed class GrainTests
{
    internal interface IPlantedGrain : IGrainWithStringKey
    {
        Task Work();
    }

    internal sealed class PlantedGrain : Grain, IPlantedGrain
    {
        public Task Work() => Task.CompletedTask;
    }

    [Fact]
    public void A_nameless_grain_whose_calls_cannot_be_cancelled_is_found() => Assert.Equal(
        [
            "IPlantedGrain has no [GrainInterfaceType] that begins with planted.",
            "IPlantedGrain has no [Alias] that begins with planted.",
            "IPlantedGrain.Work has no [Alias]",
            "IPlantedGrain.Work does not end in a CancellationToken",
            "PlantedGrain has no [GrainType] that begins with planted.",
        ],
        Faults("planted", [typeof(IPlantedGrain), typeof(PlantedGrain)]));

    [Fact]
    public void Grains_state_their_names_and_take_a_token() =>
        Assert.Empty(Repository.Modules.SelectMany(module => Faults(module.Name, module.GetType().Assembly.GetTypes())));

    [Fact]
    public void A_module_with_grains_has_its_wire_contracts_checked_in() => Assert.Empty(
        from module in Repository.Modules
        where module.GetType().Assembly.GetTypes().Any(IsGrainInterface)
        let path = $"modules/{module.Name}/src/OrleansContracts.txt"
        let file = Path.Combine(Repository.Root, path)
        where !File.Exists(file) || GrainsOf(module).Any(grain => !File.ReadAllText(file).Contains(grain, StringComparison.Ordinal))
        select $"{path}: dotnet format {Path.GetDirectoryName(path)} analyzers --severity info --diagnostics ORLEANS0016 ORLEANS0017 ORLEANS0018 ORLEANS0019 ORLEANS0020 ORLEANS0022 ORLEANS0023 ORLEANS0024");

    private static IEnumerable<string> GrainsOf(IModule module) => module.GetType().Assembly.GetTypes().Where(IsGrainInterface).Select(type => type.Name);

    private static IEnumerable<string> Faults(string module, IEnumerable<Type> types)
    {
        foreach (var type in types)
        {
            if (IsGrainInterface(type))
            {
                if (!IsNamed<GrainInterfaceTypeAttribute>(type, module))
                {
                    yield return $"{type.Name} has no [GrainInterfaceType] that begins with {module}.";
                }

                if (type.GetCustomAttribute<AliasAttribute>()?.Alias.StartsWith($"{module}.", StringComparison.Ordinal) != true)
                {
                    yield return $"{type.Name} has no [Alias] that begins with {module}.";
                }

                foreach (var method in type.GetMethods())
                {
                    if (method.GetCustomAttribute<AliasAttribute>() is null)
                    {
                        yield return $"{type.Name}.{method.Name} has no [Alias]";
                    }

                    if (method.GetParameters().LastOrDefault()?.ParameterType != typeof(CancellationToken))
                    {
                        yield return $"{type.Name}.{method.Name} does not end in a CancellationToken";
                    }
                }
            }
            else if (type is { IsClass: true, IsAbstract: false } && typeof(IGrainBase).IsAssignableFrom(type) && !IsNamed<GrainTypeAttribute>(type, module))
            {
                yield return $"{type.Name} has no [GrainType] that begins with {module}.";
            }
        }
    }

    private static bool IsNamed<TAttribute>(Type type, string module) =>
        type.GetCustomAttributesData().Any(data => data.AttributeType == typeof(TAttribute)
            && data.ConstructorArguments is [{ Value: string name }] && name.StartsWith($"{module}.", StringComparison.Ordinal));

    private static bool IsGrainInterface(Type type) => type.IsInterface && typeof(IGrain).IsAssignableFrom(type);
}
