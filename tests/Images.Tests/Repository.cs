namespace Wave16.Images.Tests;

internal static class Repository
{
    public static string Root { get; } = FindRoot();

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
