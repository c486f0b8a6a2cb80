using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

/// <summary>Shows that the leaf is in the log of that size (RFC 6962 section 2.1.1). Hashes are lower-case hexadecimal.</summary>
/// <param name="LeafId">The leaf.</param>
/// <param name="Seq">Its place, from 0.</param>
/// <param name="TreeSize">Of the tree the proof is for.</param>
/// <param name="LeafHash">As it was taken into the log.</param>
/// <param name="Proof">The audit path, from the leaf to the root. It names hashes of other leaves, of which nothing can be read.</param>
/// <param name="Checkpoint">The signed head of that size; null when none was signed for just that size.</param>
public sealed record AuditInclusion(long LeafId, long Seq, long TreeSize, string LeafHash, IReadOnlyList<string> Proof, string? Checkpoint);

/// <summary>Shows that the log of size <paramref name="To"/> begins with that of size <paramref name="From"/> (RFC 6962 section 2.1.2).</summary>
/// <param name="From">Leaves of the older tree.</param>
/// <param name="To">Leaves of the newer tree.</param>
/// <param name="Proof">Lower-case hexadecimal hashes.</param>
/// <param name="Checkpoint">The signed head of size <paramref name="To"/>; null when none was signed for just that size.</param>
public sealed record AuditConsistency(long From, long To, IReadOnlyList<string> Proof, string? Checkpoint);

/// <summary>A key that signs or signed heads.</summary>
/// <param name="KeyId">Lower-case hexadecimal SHA-256 of the key; its first four bytes are the key id of a signed note.</param>
/// <param name="PublicKey">SubjectPublicKeyInfo, PEM.</param>
/// <param name="VerifierKey">The same as C2SP tools take it: <c>origin+key id+base64(0x02 || SubjectPublicKeyInfo)</c>.</param>
/// <param name="Signs">It signs today's heads.</param>
public sealed record AuditKey(string KeyId, string PublicKey, string VerifierKey, bool Signs);

/// <summary><c>/audit/{module}</c>: what auditors read of a module's log. Tenant-scoped; scope <c>audit.read</c>.</summary>
internal static class AuditEndpoints
{
    public static readonly ProblemCode NotSealed = new("audit.not-sealed", StatusCodes.Status409Conflict, "The leaf is not in the log yet");
    public static readonly ProblemCode LogShorter = new("audit.log-shorter", StatusCodes.Status409Conflict, "The log is shorter than that");
    public static readonly ProblemCode VerifyRunning = new("audit.verify-running", StatusCodes.Status429TooManyRequests, "This log is being verified already");

    private static readonly HashSet<string> Filters = QueryParameters.Of("entity", "actor", "action", "from", "to", "limit", "cursor");

    public static void MapAudit(this IEndpointRouteBuilder endpoints, string module)
    {
        // Names are unique in the process, which may host several modules.
        string Named(string operation) => $"{operation}_{module.Replace('-', '_')}";
        var audit = endpoints.MapGroup($"/audit/{module}").WithTags("Audit").RequireScope(Access.Scopes.AuditRead);
        audit.MapGet("", List)
            .WithName(Named("ListAuditLeaves")).WithSummary("Lists audit leaves, newest first");
        audit.MapGet("/verify", Verify).AllowLongLived()
            .WithName(Named("VerifyAudit")).WithSummary("Recomputes the whole log and says what is wrong");
        audit.MapGet("/checkpoint", LatestCheckpoint)
            .WithName(Named("GetAuditCheckpoint")).WithSummary("The latest signed head of the log, as a C2SP checkpoint");
        audit.MapGet("/keys", Keys)
            .WithName(Named("ListAuditKeys")).WithSummary("The public keys of the log's heads");
        audit.MapGet("/leaves/{id:long}/proof", Inclusion)
            .WithName(Named("ProveAuditInclusion")).WithSummary("Proves that a leaf is in the log");
        audit.MapGet("/consistency", Consistency)
            .WithName(Named("ProveAuditConsistency")).WithSummary("Proves that the log only grew");
    }

    private static async Task<Results<Ok<Page<AuditItem>>, RefusalResult>> List(
        HttpContext http, Caller caller, PageRequest page, string? entity, string? actor, string? action, Rfc3339Time? from, Rfc3339Time? to, CancellationToken cancellation)
    {
        if (QueryParameters.Check(http.Request.Query, Filters, "this list").ToList() is { Count: > 0 } errors)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors).ToResult();
        }

        if (page.ReadCursor<AuditPosition>(out var after) is { } refusal)
        {
            return refusal.ToResult();
        }

        foreach (var (parameter, text) in new[] { (nameof(entity), entity), (nameof(actor), actor), (nameof(action), action) })
        {
            // PostgreSQL's text cannot hold it, so no leaf has it.
            if (text is not null && text.Contains('\0', StringComparison.Ordinal))
            {
                return Invalid(parameter, "must be without U+0000").ToResult();
            }
        }

        var filter = new AuditFilter(entity, actor, action, from?.Value, to?.Value);
        var items = await Service<AuditReader>(http).ListAsync(caller.Tenant, filter, after, page.Limit + 1, cancellation);
        return TypedResults.Ok(page.ToPage(items, item => new AuditPosition(item.At, item.Id)));
    }

    private static async Task<Results<Ok<AuditReport>, RefusalResult>> Verify(HttpContext http, Caller caller, CancellationToken cancellation)
    {
        if (await Service<AuditVerifier>(http).TryVerifyAsync(caller.Tenant, cancellation) is { } report)
        {
            return TypedResults.Ok(report);
        }

        http.Response.Headers.RetryAfter = "10";
        return new Refusal(VerifyRunning.Code, "One verification of a log runs at a time on each replica; it reads all of it.").ToResult();
    }

    private static async Task<Results<ContentHttpResult, RefusalResult>> LatestCheckpoint(HttpContext http, CancellationToken cancellation) =>
        await Service<AuditReader>(http).FindHeadAsync(size: null, cancellation) is { } head
            ? TypedResults.Text(head.Note, "text/plain; charset=utf-8")
            : Empty().ToResult();

    private static Ok<IReadOnlyList<AuditKey>> Keys(HttpContext http)
    {
        var keys = http.RequestServices.GetRequiredService<AuditKeys>();
        var database = Service<Store.ModuleDatabase>(http);
        var origin = Checkpoint.OriginOf(database.Module, database.Epoch.Token);
        return TypedResults.Ok<IReadOnlyList<AuditKey>>([.. keys.PublicKeys.Select(key => new AuditKey(
            key.Key,
            System.Security.Cryptography.PemEncoding.WriteString("PUBLIC KEY", key.Value),
            $"{origin}+{key.Key[..8]}+{Convert.ToBase64String([0x02, .. key.Value])}",
            key.Key == keys.KeyId))]);
    }

    private static async Task<Results<Ok<AuditInclusion>, RefusalResult>> Inclusion(
        HttpContext http, Caller caller, long id, long? treeSize, CancellationToken cancellation)
    {
        var reader = Service<AuditReader>(http);
        if (await reader.FindPlaceAsync(caller.Tenant, id, cancellation) is not { } leaf)
        {
            return new Refusal(ProblemCodes.NotFound.Code, "There is no such leaf.").ToResult();
        }

        if (leaf.Seq is not { } seq || await reader.FindHeadAsync(size: null, cancellation) is not { } latest || latest.Head.TreeSize <= seq)
        {
            return new Refusal(NotSealed.Code, "The leaf is committed and waits for the sealer; ask again in a second.").ToResult();
        }

        var size = treeSize ?? latest.Head.TreeSize;
        if (size <= seq || size > latest.Head.TreeSize)
        {
            return Invalid("treeSize", $"must be from {seq + 1}, where the log has this leaf, to {latest.Head.TreeSize}").ToResult();
        }

        var proof = await Service<LogTree>(http).HashesAsync(MerkleTree.InclusionPath(seq, size), cancellation);
        return TypedResults.Ok(new AuditInclusion(
            id, seq, size, Convert.ToHexStringLower(leaf.Hash), [.. proof.Select(Convert.ToHexStringLower)], await NoteAsync(reader, latest, size, cancellation)));
    }

    private static async Task<Results<Ok<AuditConsistency>, RefusalResult>> Consistency(HttpContext http, long from, long? to, CancellationToken cancellation)
    {
        var reader = Service<AuditReader>(http);
        if (await reader.FindHeadAsync(size: null, cancellation) is not { } latest)
        {
            return Empty().ToResult();
        }

        var size = to ?? latest.Head.TreeSize;
        if (from < 1)
        {
            return Invalid("from", "must be 1 or more").ToResult();
        }

        if (Math.Max(from, size) > latest.Head.TreeSize)
        {
            return new Refusal(
                LogShorter.Code, $"The latest signed head has {latest.Head.TreeSize} leaves. Whoever holds a signed head of more: the store was restored to an earlier state, or leaves were removed.").ToResult();
        }

        if (size < from)
        {
            return Invalid("to", "must not be less than from").ToResult();
        }

        var proof = await Service<LogTree>(http).HashesAsync(MerkleTree.ConsistencyPath(from, size), cancellation);
        return TypedResults.Ok(new AuditConsistency(from, size, [.. proof.Select(Convert.ToHexStringLower)], await NoteAsync(reader, latest, size, cancellation)));
    }

    private static async Task<string?> NoteAsync(AuditReader reader, (HeadRow Head, string Note) latest, long size, CancellationToken cancellation) =>
        latest.Head.TreeSize == size ? latest.Note : (await reader.FindHeadAsync(size, cancellation))?.Note;

    private static Refusal Empty() => new(ProblemCodes.NotFound.Code, "Nothing has been sealed in this log yet.");

    private static Refusal Invalid(string parameter, string reason) =>
        new(ProblemCodes.Invalid.Code, "The request is not valid.", [FieldError.Query(parameter, reason)]);

    private static T Service<T>(HttpContext http)
        where T : notnull => http.RequestServices.GetRequiredKeyedService<T>(ModuleEndpoint.Of(http));
}
