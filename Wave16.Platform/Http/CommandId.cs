using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Wave16.Platform.Http;

/// <summary>
/// Under which id the entity's save stores its answer (<see cref="Store.EntityChange.CommandId"/>). A minimal API handler takes it
/// as a parameter. With an idempotency key it is the same for every repetition of the request, so that a command whose
/// answer got lost is found and not done again; without one it is new each time.
/// </summary>
public sealed record CommandId(string Value)
{
    /// <summary>
    /// For what the command creates: the same at every repetition, so that the repetition finds its own answer. A save keeps
    /// answers by entity, and a new id would be another entity's.
    /// </summary>
    public Guid EntityId => new(SHA256.HashData(Encoding.UTF8.GetBytes(Value)).AsSpan(0, 16), bigEndian: true);

    public override string ToString() => Value;

    public static ValueTask<CommandId> BindAsync(HttpContext context)
    {
        if (context.Features.Get<CommandId>() is not { } command)
        {
            command = New();
            context.Features.Set(command);
        }

        return ValueTask.FromResult(command);
    }

    internal static CommandId New() => new($"http:{Guid.CreateVersion7():N}");

    // With the fingerprint, because a key may be used for something else once it has expired, and stored commands outlive it.
    internal static CommandId Of(IdempotencyScope scope, string key, byte[] fingerprint)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Fingerprint.AppendField(hash, scope.Tenant);
        Fingerprint.AppendField(hash, scope.Caller);
        Fingerprint.AppendField(hash, key);
        hash.AppendData(fingerprint);
        return new CommandId($"http:{Base64Url.EncodeToString(hash.GetHashAndReset())}");
    }
}
