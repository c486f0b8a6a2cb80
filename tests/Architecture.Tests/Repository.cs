using System.Reflection;
using Wave16.Platform.Modules;
using Wave16.Standalone;

namespace Wave16.Architecture.Tests;

/// <summary>The checkout these tests were built in.</summary>
internal static class Repository
{
    private static readonly string[] Untracked = [".git", "bin", "obj", "artifacts", ".wave16", "TestResults", "BenchmarkDotNet.Artifacts", "node_modules", ".vs", ".idea", ".vscode"];

    public static string Root { get; } = FindRoot();

    public static IReadOnlyList<IModule> Modules => StandaloneHost.Modules;

    /// <summary>Assemblies that ship: what Standalone is made of, and each module with its contracts.</summary>
    public static IEnumerable<string> ProductAssemblies() => Directory
        .EnumerateFiles(AppContext.BaseDirectory, "Wave16.*.dll")
        .Where(path => !Path.GetFileNameWithoutExtension(path).EndsWith(".Tests", StringComparison.Ordinal));

    public static Assembly ContractsOf(IModule module) => Assembly.Load($"{module.GetType().Assembly.GetName().Name}.Contracts");

    /// <summary>Every file that could be under version control, as paths below <see cref="Root"/> with '/'.</summary>
    public static IEnumerable<string> Files(string pattern = "*") =>
        Enumerate(new DirectoryInfo(Root), pattern).Select(file => Path.GetRelativePath(Root, file.FullName).Replace('\\', '/'));

    private static IEnumerable<FileInfo> Enumerate(DirectoryInfo directory, string pattern) =>
        directory.EnumerateFiles(pattern).Concat(
            directory.EnumerateDirectories().Where(child => child.LinkTarget is null && !Untracked.Contains(child.Name)).SelectMany(child => Enumerate(child, pattern)));

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Wave16.sln")))
        {
            directory = directory.Parent;
        }

        return (directory ?? throw new DirectoryNotFoundException("Wave16.sln")).FullName;
    }
}
