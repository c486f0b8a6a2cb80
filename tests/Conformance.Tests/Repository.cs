using Wave16.Testing;

namespace Wave16.Conformance.Tests;

/// <summary>The checkout, and the snapshots kept in it.</summary>
internal static class Repository
{
    private const string Update = "UPDATE_SNAPSHOTS";

    public static string Root => Checkout.Root;

    public static string InModule(string module, params ReadOnlySpan<string> path) => Path.Combine([Root, "modules", module, .. path]);

    public static IReadOnlyList<string> EventTypes(Type names) => [.. names.GetFields().Where(field => field.IsLiteral).Select(field => (string?)field.GetRawConstantValue() ?? "")];

    /// <summary>The file says exactly this. <c>UPDATE_SNAPSHOTS=1</c> writes it instead; what it wrote is reviewed as a diff.</summary>
    public static void IsSnapshot(string path, string actual)
    {
        if (Environment.GetEnvironmentVariable(Update) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path) ?? Root);
            File.WriteAllText(path, actual);
        }

        Assert.True(File.Exists(path), $"{Path.GetRelativePath(Root, path)} is missing; {Update}=1 writes it.");
        Assert.Equal(File.ReadAllText(path).ReplaceLineEndings("\n"), actual);
    }
}
