using System.Security.Cryptography;

namespace Wave16.Platform.Audit;

/// <summary>The key of Development: <c>.wave16/keys/audit-signing.pem</c> under the content root, readable by its owner only.</summary>
internal static class DevelopmentAuditKey
{
    public static string ReadOrMake(string contentRoot)
    {
        var folder = Path.Combine(contentRoot, ".wave16", "keys");
        var file = Path.Combine(folder, "audit-signing.pem");
        if (File.Exists(file))
        {
            return File.ReadAllText(file);
        }

        Directory.CreateDirectory(folder);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var pem = key.ExportPkcs8PrivateKeyPem();
        var draft = Path.Combine(folder, $"{Guid.NewGuid():N}.draft");
        var creation = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            creation.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using (var writer = new StreamWriter(draft, creation))
        {
            writer.Write(pem);
        }

        try
        {
            // Complete or not there at all, and the first of two processes that start together wins.
            File.Move(draft, file, overwrite: false);
            return pem;
        }
        catch (IOException) when (File.Exists(file))
        {
            File.Delete(draft);
            return File.ReadAllText(file);
        }
    }
}
