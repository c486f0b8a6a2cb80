namespace Wave16.Testing;

/// <summary>Where the repository is that these tests were built from.</summary>
public static class Checkout
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
