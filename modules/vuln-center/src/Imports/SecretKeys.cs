using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Options;

namespace Wave16.VulnCenter.Imports;

/// <summary>The key under which a tenant's secrets are hashed: HKDF-SHA-256 (RFC 5869) of the configured one, with the tenant as info.</summary>
internal sealed class SecretKeys
{
    private const int KeyLength = 32;
    private readonly byte[] _master;

    /// <exception cref="InvalidOperationException">No usable key outside Development.</exception>
    public SecretKeys(IOptions<ImportOptions> options, IHostEnvironment environment)
    {
        var configured = options.Value.SecretKey;
        if (string.IsNullOrEmpty(configured) && environment.IsDevelopment())
        {
            // The same on every start and every laptop, so that secrets are recognised again; worthless as a key, and only used there.
            _master = SHA256.HashData("wave16 development"u8);
            return;
        }

        var key = new byte[1024];
        _master = configured is not null && Convert.TryFromBase64String(configured, key, out var length) && length >= KeyLength
            ? key[..length]
            : throw new InvalidOperationException("VulnCenter:SecretKey must be the base64 of at least 32 random bytes: openssl rand -base64 32");
    }

    public byte[] Of(string tenant) => HKDF.DeriveKey(HashAlgorithmName.SHA256, _master, KeyLength, salt: [], info: Encoding.UTF8.GetBytes("vuln-center/secret/" + tenant));
}
