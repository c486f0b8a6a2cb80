namespace Wave16.AppHost.Tests;

internal static class Repository
{
    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Wave16.sln")))
            folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("Wave16.sln is in no parent folder of the test");
    }
}
