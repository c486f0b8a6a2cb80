using System.Reflection;
using System.Runtime.CompilerServices;
using Wave16.Platform.Modules;

namespace Wave16.Architecture.Tests;

/// <summary>The only public type of a module's code is its <see cref="IModule"/>: other modules use its contracts.</summary>
public sealed class SurfaceTests
{
    public sealed class PlantedPublicType;

    [Fact]
    public void A_public_type_beside_the_module_is_found() =>
        Assert.Contains(typeof(PlantedPublicType).FullName, Extra([typeof(PlantedPublicType), typeof(VulnCenter.VulnCenterModule)]));

    [Fact]
    public void A_modules_only_public_type_is_the_module() =>
        Assert.Empty(Repository.Modules.SelectMany(module => Extra(module.GetType().Assembly.GetExportedTypes())));

    // Orleans generates public serializers for internal types; the web SDK makes Program public for tests.
    private static IEnumerable<string?> Extra(IEnumerable<Type> exported) =>
        from type in exported
        where !typeof(IModule).IsAssignableFrom(type)
            && type.GetCustomAttribute<System.CodeDom.Compiler.GeneratedCodeAttribute>() is null
            && type.GetCustomAttribute<CompilerGeneratedAttribute>() is null
            && type.FullName != "Program"
        select type.FullName;
}
