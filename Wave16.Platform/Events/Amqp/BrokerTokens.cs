using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Azure.Core;

namespace Wave16.Platform.Events.Amqp;

/// <param name="Type">Of the token, as <c>$cbs</c> wants to know it.</param>
/// <param name="Value">Secret.</param>
/// <param name="ExpiresAt">When the broker stops to honour it.</param>
internal sealed record BrokerToken(string Type, string Value, DateTimeOffset ExpiresAt)
{
    public override string ToString() => $"{Type}, expires {ExpiresAt:O}";
}

/// <summary>Where the tokens for <c>$cbs</c> come from.</summary>
internal abstract class BrokerTokens
{
    /// <param name="audience"><c>sb://host/entity</c>.</param>
    /// <param name="cancellation">Ends a request to the identity provider.</param>
    public abstract ValueTask<BrokerToken> ForAsync(string audience, CancellationToken cancellation);

    /// <summary>Null for a broker that knows no tokens.</summary>
    public static BrokerTokens? For(BrokerAddress address, Func<TokenCredential> identity, TimeProvider time) => address.Credentials switch
    {
        BrokerCredentials.SharedAccessKey key => new Signed(key, time),
        BrokerCredentials.Entra => new Entra(identity()),
        _ => null,
    };

    /// <summary>Microsoft, "Service Bus access control with Shared Access Signatures", generate a token.</summary>
    private sealed class Signed(BrokerCredentials.SharedAccessKey key, TimeProvider time) : BrokerTokens
    {
        private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

        public override ValueTask<BrokerToken> ForAsync(string audience, CancellationToken cancellation)
        {
            var expires = DateTimeOffset.FromUnixTimeSeconds((time.GetUtcNow() + Lifetime).ToUnixTimeSeconds());
            var resource = Uri.EscapeDataString(audience);
            var expiry = expires.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            var signature = Convert.ToBase64String(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key.Key), Encoding.UTF8.GetBytes($"{resource}\n{expiry}")));
            return ValueTask.FromResult(new BrokerToken(
                "servicebus.windows.net:sastoken",
                $"SharedAccessSignature sr={resource}&sig={Uri.EscapeDataString(signature)}&se={expiry}&skn={Uri.EscapeDataString(key.Name)}",
                expires));
        }
    }

    private sealed class Entra(TokenCredential credential) : BrokerTokens
    {
        private static readonly TokenRequestContext Scope = new(["https://servicebus.azure.net/.default"]);

        public override async ValueTask<BrokerToken> ForAsync(string audience, CancellationToken cancellation)
        {
            var token = await credential.GetTokenAsync(Scope, cancellation);
            return new BrokerToken("jwt", token.Token, token.ExpiresOn);
        }
    }
}
