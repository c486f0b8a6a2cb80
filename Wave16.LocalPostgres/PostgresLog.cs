using System.Text;

namespace Wave16.LocalPostgres;

/// <summary>What the server writes: appended to a file, its last lines kept for error messages.</summary>
internal sealed class PostgresLog : IDisposable
{
    private const int KeptLines = 20;
    private const long RotatedBytes = 8 * 1024 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<string> _tail = new();
    private StreamWriter? _file;

    public PostgresLog(string path)
    {
        if (new FileInfo(path) is { Exists: true, Length: > RotatedBytes })
            File.Move(path, path + ".1", overwrite: true);
        var options = new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        _file = new StreamWriter(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), options) { AutoFlush = true };
    }

    public void Add(string line)
    {
        lock (_gate)
        {
            _tail.Enqueue(line);
            if (_tail.Count > KeptLines)
                _tail.Dequeue();
            try
            {
                _file?.WriteLine(line);
            }
            catch (IOException failure)
            {
                // The server blocks when nobody reads what it writes, so reading goes on without the file.
                _tail.Enqueue($"(no more lines reach the log file: {failure.Message})");
                _file?.BaseStream.Dispose();
                _file = null;
            }
        }
    }

    /// <summary>Forgets the lines of an earlier attempt.</summary>
    public void StartOver()
    {
        lock (_gate)
            _tail.Clear();
    }

    public bool Says(string text)
    {
        lock (_gate)
            return _tail.Any(line => line.Contains(text, StringComparison.Ordinal));
    }

    public override string ToString()
    {
        lock (_gate)
            return string.Join(Environment.NewLine, _tail);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _file?.BaseStream.Dispose();
            _file = null;
        }
    }
}
