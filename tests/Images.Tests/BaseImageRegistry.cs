using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Wave16.Images.Tests;

/// <summary>
/// A registry on loopback with one base image in it, so that no network is needed: OCI distribution spec 1.1, pull only. The base
/// names no user, no port and no variable but PATH: what the published image has of these comes from the module's own project.
/// </summary>
internal sealed class BaseImageRegistry : IAsyncDisposable
{
    private const string Name = "base/aspnet";
    private const string Tag = "10.0";
    private const string Manifest = "application/vnd.oci.image.manifest.v1+json";
    private readonly WebApplication _app;

    private BaseImageRegistry(WebApplication app, string layer) => (_app, Layer) = (app, layer);

    /// <summary>Host and port; plain HTTP.</summary>
    public string Authority => new Uri(_app.Urls.Single()).Authority;

    public string Image => $"{Authority}/{Name}:{Tag}";

    /// <summary>Digest of the base's only layer.</summary>
    public string Layer { get; }

    public static async Task<BaseImageRegistry> StartAsync()
    {
        var (archive, layer) = NewLayer();
        var config = JsonSerializer.SerializeToUtf8Bytes(new
        {
            architecture = "amd64",
            os = "linux",
            config = new { Env = (string[])["PATH=/usr/bin"] },
            rootfs = new { type = "layers", diff_ids = (string[])[Digest(archive)] },
        });
        var manifest = JsonSerializer.SerializeToUtf8Bytes(new
        {
            schemaVersion = 2,
            mediaType = Manifest,
            config = new { mediaType = "application/vnd.oci.image.config.v1+json", size = config.Length, digest = Digest(config) },
            layers = new[] { new { mediaType = "application/vnd.oci.image.layer.v1.tar+gzip", size = layer.Length, digest = Digest(layer) } },
        });
        var blobs = new[] { config, layer }.ToDictionary(Digest, StringComparer.Ordinal);

        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.MapGet("/v2/", () => TypedResults.Ok());
        app.MapGet($"/v2/{Name}/manifests/{Tag}", (HttpContext http) =>
        {
            http.Response.Headers["Docker-Content-Digest"] = Digest(manifest);
            return TypedResults.Bytes(manifest, Manifest);
        });
        app.MapGet($"/v2/{Name}/blobs/{{digest}}", (string digest) => blobs.TryGetValue(digest, out var blob) ? Results.Bytes(blob) : Results.NotFound());
        await app.StartAsync(CancellationToken.None);
        return new BaseImageRegistry(app, Digest(layer));
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
    }

    private static (byte[] Archive, byte[] Layer) NewLayer()
    {
        using var archive = new MemoryStream();
        using (var tar = new TarWriter(archive, TarEntryFormat.Ustar, leaveOpen: true))
        {
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "etc/base") { DataStream = new MemoryStream("base\n"u8.ToArray()), ModificationTime = DateTimeOffset.UnixEpoch });
        }

        using var layer = new MemoryStream();
        using (var compressed = new GZipStream(layer, CompressionLevel.Fastest, leaveOpen: true))
        {
            compressed.Write(archive.ToArray());
        }

        return (archive.ToArray(), layer.ToArray());
    }

    private static string Digest(byte[] content) => $"sha256:{Convert.ToHexStringLower(SHA256.HashData(content))}";
}
