using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Wave16.Platform.Audit;

/// <summary>
/// The key that signs this process's tree heads, and others whose heads are good. <c>Audit:SigningKey</c> is a P-256 private
/// key, PKCS#8 PEM; <c>Audit:PreviousKeys</c> is a list of public keys, SubjectPublicKeyInfo PEM: those that signed before, and
/// during a rotation the one that other replicas sign with already. In Development a key is made at the first start and kept
/// under the content root.
/// </summary>
internal sealed class AuditKeys
{
    private const string P256 = "1.2.840.10045.3.1.7";
    private readonly string _signingKey;
    private readonly Dictionary<string, byte[]> _publicKeys = new(StringComparer.Ordinal);

    /// <exception cref="InvalidOperationException">There is no usable key; the message says which setting is wrong and how it should be.</exception>
    public AuditKeys(IConfiguration configuration, IHostEnvironment environment)
    {
        _signingKey = configuration["Audit:SigningKey"] is { Length: > 0 } configured
            ? configured
            : environment.IsDevelopment()
                ? DevelopmentAuditKey.ReadOrMake(environment.ContentRootPath)
                : throw new InvalidOperationException(
                    "Audit:SigningKey is missing: the audit log's heads are signed with it. Give a P-256 private key as PKCS#8 PEM "
                    + "(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256); only Development makes its own.");
        using var signer = Load(_signingKey, "Audit:SigningKey", wantsPrivate: true);
        KeyId = Add(signer);
        foreach (var previous in configuration.GetSection("Audit:PreviousKeys").GetChildren())
        {
            using var key = Load(previous.Value ?? "", previous.Path, wantsPrivate: false);
            Add(key);
        }
    }

    /// <summary>Of the signing key: lower-case hexadecimal SHA-256 of its SubjectPublicKeyInfo in DER.</summary>
    public string KeyId { get; }

    /// <summary>SubjectPublicKeyInfo in DER by key id, the signing key's first.</summary>
    public IReadOnlyDictionary<string, byte[]> PublicKeys => _publicKeys;

    /// <summary>An instance of the caller's own: ECDsa is not safe for concurrent use.</summary>
    public ECDsa CreateSigner() => Load(_signingKey, "Audit:SigningKey", wantsPrivate: true);

    public bool TryCreateVerifier(string keyId, [NotNullWhen(true)] out ECDsa? verifier)
    {
        verifier = null;
        if (!_publicKeys.TryGetValue(keyId, out var spki))
        {
            return false;
        }

        verifier = ECDsa.Create();
        verifier.ImportSubjectPublicKeyInfo(spki, out _);
        return true;
    }

    public static byte[] Sign(ECDsa signer, byte[] text) =>
        signer.SignData(text, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);

    public static bool Verify(ECDsa verifier, byte[] text, byte[] signature) =>
        verifier.VerifyData(text, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);

    private string Add(ECDsa key)
    {
        var spki = key.ExportSubjectPublicKeyInfo();
        var id = Convert.ToHexStringLower(SHA256.HashData(spki));
        _publicKeys.TryAdd(id, spki);
        return id;
    }

    private static ECDsa Load(string pem, string setting, bool wantsPrivate)
    {
        // Otherwise a retired private key would be taken for the public one that is in it, and stay where it can be read.
        if (!wantsPrivate && PemEncoding.TryFind(pem, out var found) && !pem.AsSpan()[found.Label].SequenceEqual("PUBLIC KEY"))
        {
            throw new InvalidOperationException($"{setting} is not a public key. Give what openssl pkey -pubout makes of a retired key, and keep the private one nowhere.");
        }

        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(pem);
            var curve = key.ExportParameters(wantsPrivate).Curve;
            if (curve is { IsNamed: true, Oid.Value: P256 })
            {
                return key;
            }
        }
        catch (Exception malformed) when (malformed is ArgumentException or CryptographicException)
        {
            key.Dispose();
            throw new InvalidOperationException(Unusable(setting, wantsPrivate), malformed);
        }

        key.Dispose();
        throw new InvalidOperationException(Unusable(setting, wantsPrivate));
    }

    // Never quotes what was configured.
    private static string Unusable(string setting, bool wantsPrivate) =>
        $"{setting} is not a P-256 {(wantsPrivate ? "private key as PKCS#8" : "public key as SubjectPublicKeyInfo")} PEM.";
}
