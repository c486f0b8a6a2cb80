namespace Wave16.VulnCenter.Imports;

/// <summary>A temporary file that vanishes when it is closed.</summary>
internal static class SpoolFile
{
    /// <param name="what">What will be in it, for its name.</param>
    public static FileStream Create(string directory, string what) => new(
        Path.Combine(directory, $"wave16-{what}-{Guid.NewGuid():N}"),
        new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Share = FileShare.None,
            BufferSize = 0,
            Options = FileOptions.DeleteOnClose | FileOptions.Asynchronous,
        });
}
