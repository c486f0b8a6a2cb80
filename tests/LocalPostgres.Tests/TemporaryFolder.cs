namespace Wave16.LocalPostgres.Tests;

/// <summary>A folder for the length of a test, open to the server's account as a checkout usually is.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder()
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), "local-postgres-" + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Path);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path, (UnixFileMode)0b111_101_101);
    }

    public string Path { get; }

    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>An executable shell script.</summary>
    public void Script(string name, string body)
    {
        File.WriteAllText(At(name), "#!/bin/sh\n" + body + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(At(name), (UnixFileMode)0b111_101_101);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
