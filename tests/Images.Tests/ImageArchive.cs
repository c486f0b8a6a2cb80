using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;

namespace Wave16.Images.Tests;

/// <param name="Path">From the file system's root.</param>
/// <param name="Sha256">Of the content, lower-case hex.</param>
internal sealed record ImageFile(string Path, int Owner, UnixFileMode Mode, string Sha256);

/// <summary>An OCI image layout in a tar (image-spec 1.1, image-layout.md), unpacked.</summary>
internal sealed class ImageArchive
{
    private readonly string _folder;
    private readonly JsonElement _manifest;

    private ImageArchive(string folder)
    {
        _folder = folder;
        var image = JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(Path.Combine(folder, "index.json"))).GetProperty("manifests").EnumerateArray().Single();
        Tag = image.GetProperty("annotations").GetProperty("io.containerd.image.name").GetString() ?? "";
        _manifest = JsonSerializer.Deserialize<JsonElement>(File.ReadAllBytes(Blob(image)));
        Config = JsonSerializer.Deserialize<JsonElement>(File.ReadAllBytes(Blob(_manifest.GetProperty("config")))).GetProperty("config");
    }

    public string Tag { get; }

    public JsonElement Config { get; }

    /// <summary>Digests, the base's first.</summary>
    public IReadOnlyList<string> Layers => [.. _manifest.GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("digest").GetString() ?? "")];

    public IReadOnlyList<string> Entrypoint => [.. Config.GetProperty(nameof(Entrypoint)).EnumerateArray().Select(part => part.GetString() ?? "")];

    public IReadOnlyDictionary<string, string> Environment => Config.GetProperty("Env").EnumerateArray()
        .Select(variable => (variable.GetString() ?? "").Split('=', 2)).ToDictionary(variable => variable[0], variable => variable[1], StringComparer.Ordinal);

    public IReadOnlyDictionary<string, string> Labels =>
        Config.GetProperty(nameof(Labels)).EnumerateObject().ToDictionary(label => label.Name, label => label.Value.GetString() ?? "", StringComparer.Ordinal);

    public static ImageArchive Unpack(string archive, string folder)
    {
        TarFile.ExtractToDirectory(archive, Directory.CreateDirectory(folder).FullName, overwriteFiles: false);
        return new ImageArchive(folder);
    }

    /// <summary>What the module's own layer holds.</summary>
    public List<ImageFile> Files()
    {
        var files = new List<ImageFile>();
        ReadLayer(entry =>
        {
            if (entry is { EntryType: TarEntryType.RegularFile, DataStream: { } content })
            {
                files.Add(new ImageFile("/" + entry.Name, entry.Uid, entry.Mode, Convert.ToHexStringLower(SHA256.HashData(content))));
            }
        });
        return files;
    }

    /// <summary>Puts the module's own layer under a folder, as the caller's files and writable by nobody.</summary>
    public void ExtractTo(string root)
    {
        const UnixFileMode readOnly = UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        const UnixFileMode enter = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        var folders = new List<string>();
        ReadLayer(entry =>
        {
            var path = Path.Combine(root, entry.Name);
            if (entry.EntryType is TarEntryType.Directory)
            {
                folders.Add(Directory.CreateDirectory(path).FullName);
                return;
            }

            entry.ExtractToFile(path, overwrite: false);
            SetMode(path, readOnly | (entry.Mode & enter));
        });
        foreach (var folder in folders)
        {
            SetMode(folder, readOnly | enter);
        }
    }

    private static void SetMode(string path, UnixFileMode mode)
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, mode);
        }
    }

    private void ReadLayer(Action<TarEntry> read)
    {
        using var compressed = new GZipStream(File.OpenRead(Blob(_manifest.GetProperty("layers").EnumerateArray().Last())), CompressionMode.Decompress);
        using var tar = new TarReader(compressed);
        while (tar.GetNextEntry() is { } entry)
        {
            read(entry);
        }
    }

    private string Blob(JsonElement descriptor) => Path.Combine(_folder, "blobs", (descriptor.GetProperty("digest").GetString() ?? "").Replace(':', '/'));
}
