using System.Globalization;

namespace Wave16.Architecture.Tests;

/// <summary>Enums whose numbers are in databases only ever grow: a value keeps its name's number for good.</summary>
public sealed class PersistedEnumTests
{
    private enum Planted
    {
        Renumbered = 2,
        Kept = 3,
        Added = 4,
    }

    [Fact]
    public void A_renumbered_a_removed_and_an_unlisted_value_are_found() => Assert.Equal(
        ["Planted.Renumbered = 1 is no longer so", "Planted.Removed = 5 is no longer so", "Planted.Renumbered = 2 is not in persisted-enums.txt", "Planted.Added = 4 is not in persisted-enums.txt"],
        Faults(["Planted.Renumbered = 1", "Planted.Kept = 3", "Planted.Removed = 5"], [typeof(Planted)]));

    [Fact]
    public void Persisted_enums_only_grow()
    {
        var listed = File.ReadAllLines(Path.Combine(Repository.Root, "tests", "Architecture.Tests", "persisted-enums.txt"))
            .Where(line => line.Length > 0 && !line.StartsWith('#')).ToList();
        Assert.NotEmpty(listed);
        Assert.Empty(Faults(listed, Repository.Modules.SelectMany(module => Repository.ContractsOf(module).GetExportedTypes()).Where(type => type.IsEnum)));
    }

    private static IEnumerable<string> Faults(IReadOnlyCollection<string> listed, IEnumerable<Type> enums)
    {
        var actual = enums.SelectMany(type => Enum.GetNames(type).Select(name =>
            string.Create(CultureInfo.InvariantCulture, $"{NameOf(type)}.{name} = {Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture)}"))).ToList();
        return [.. listed.Except(actual).Select(line => $"{line} is no longer so"), .. actual.Except(listed).Select(line => $"{line} is not in persisted-enums.txt")];
    }

    private static string NameOf(Type type) => type.Assembly == typeof(PersistedEnumTests).Assembly ? type.Name : type.FullName ?? type.Name;
}
