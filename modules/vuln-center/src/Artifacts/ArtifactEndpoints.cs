using System.ComponentModel;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;
using Wave16.Platform.Http;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Artifacts;

internal static class ArtifactEndpoints
{
    private const int ReferenceBytes = 64 << 10;

    public static void MapArtifacts(this IEndpointRouteBuilder app)
    {
        var artifacts = app.MapGroup("/findings/{id:guid}/artifacts").WithTags("Artifacts");
        artifacts.MapPost("", AttachAsync).RequireScope(VulnCenterScopes.Change).WithIdempotency(IdempotencyBody.HashedByHandler)
            .WithName("AttachArtifact").WithSummary("Attach files, or a reference to one that is kept elsewhere")
            .WithDescription("multipart/form-data with up to 10 files and a field note, or a reference as JSON. 201 with the finding's artifacts; 200 when all of it was attached already.")
            .Accepts<ArtifactReference>("application/json", "multipart/form-data")
            .Produces<ArtifactList>(StatusCodes.Status201Created).Produces<ArtifactList>()
            .WithBodyLimit(null).AllowLongLived();
        artifacts.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListArtifacts").WithSummary("A finding's artifacts");
        artifacts.MapGet("/{sha256}", DownloadAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetArtifact").WithSummary("An artifact's content")
            .WithDescription("Always as a download. ETag is the digest; ranges are served.")
            .Produces<Stream>(StatusCodes.Status200OK, "application/octet-stream").AlsoProduces<Stream>("*/*").AllowLongLived();
        artifacts.MapDelete("/{sha256}", RemoveAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("RemoveArtifact").WithSummary("Take an artifact off the finding")
            .WithDescription("Its content goes with the last finding that refers to it. What is evidence in the finding's history stays.");
    }

    private static async Task<IResult> AttachAsync(Guid id, Caller caller, ArtifactUpload upload, ArtifactStore store, HttpContext http, CancellationToken cancellation)
    {
        var type = MediaTypeHeaderValue.TryParse(http.Request.ContentType, out var sent) ? sent.MediaType.Value : null;
        if (string.Equals(type, "multipart/form-data", StringComparison.OrdinalIgnoreCase))
        {
            if (!await store.ExistsAsync(caller.Tenant, id, cancellation))
            {
                return NotFound(id);
            }

            var received = await upload.ReceiveAsync(http, caller.Tenant, cancellation);
            return Idempotent.Once(received.Digest, (_, cancel) => AnswerAsync(id, caller, store, received.Files, cancel));
        }

        if (!string.Equals(type, "application/json", StringComparison.OrdinalIgnoreCase))
        {
            return new Refusal(ProblemCodes.UnsupportedMediaType.Code, "Send multipart/form-data with files, or application/json with a reference.").ToResult();
        }

        var body = await ReadAsync(http.Request, cancellation);
        var (artifact, refusal) = ArtifactRules.Check(Parse(body));
        return artifact is null
            ? (refusal ?? throw new InvalidOperationException("A refused reference has a reason.")).ToResult()
            : Idempotent.Once(SHA256.HashData(body), (_, cancel) => AnswerAsync(id, caller, store, [artifact], cancel));
    }

    private static async Task<IResult> AnswerAsync(Guid id, Caller caller, ArtifactStore store, IReadOnlyList<NewArtifact> artifacts, CancellationToken cancellation) =>
        await store.AttachAsync(caller.Tenant, id, artifacts, caller.Subject, cancellation) switch
        {
            Attaching.Attached { Any: true } attached => ETagResult.Created($"/findings/{id:D}/artifacts", attached.List, attached.List.Version),
            Attaching.Attached attached => ETagResult.Ok(attached.List, attached.List.Version),
            Attaching.OverQuota full => new Refusal(
                ArtifactProblems.OverQuota, $"The tenant's artifacts have {full.Used} bytes already, and may have {full.Limit} (VulnCenter:MaxTenantArtifactBytes).").ToResult(),
            Attaching.TooMany => new Refusal(ArtifactProblems.TooMany, $"A finding has at most {ArtifactStore.Most} artifacts.").ToResult(),
            _ => NotFound(id),
        };

    private static async Task<Results<Ok<ArtifactList>, RefusalResult>> ListAsync(Guid id, Caller caller, ArtifactStore store, CancellationToken cancellation) =>
        await store.ListAsync(caller.Tenant, id, cancellation) is { } list ? TypedResults.Ok(list) : NotFound(id);

    private static async Task<Results<FileStreamHttpResult, RefusalResult>> DownloadAsync(
        Guid id, string sha256, Caller caller, ArtifactStore store, HttpContext http, CancellationToken cancellation)
    {
        if (ArtifactRules.Digest(sha256) is not { } digest || await store.FindAsync(caller.Tenant, id, digest, cancellation) is not { } artifact)
        {
            return new Refusal(ProblemCodes.NotFound.Code, "The finding has no such artifact.").ToResult();
        }

        if (artifact is not { Stored: true, Size: { } size })
        {
            return new Refusal(ArtifactProblems.Elsewhere, $"Its content is at {artifact.Uri}.").ToResult();
        }

        // Whatever it says it is: a download, never a page of this origin.
        http.Response.Headers.XContentTypeOptions = "nosniff";
        http.Response.Headers.ContentSecurityPolicy = "default-src 'none'; sandbox";
        http.Response.Headers.CacheControl = "private, no-cache";
        return TypedResults.Stream(
            store.Open(caller.Tenant, digest, size), artifact.MediaType, artifact.Name ?? artifact.Sha256, artifact.AttachedAt,
            new EntityTagHeaderValue($"\"{artifact.Sha256}\""), enableRangeProcessing: true);
    }

    private static async Task<Results<ETagResult<ArtifactList>, RefusalResult>> RemoveAsync(
        Guid id, string sha256, [FromQuery(Name = "reason"), Description("For the finding's history, 1 to 2,000 characters.")] string? reason,
        Caller caller, ArtifactRemoval removal, ArtifactStore store, CancellationToken cancellation)
    {
        if (reason is null || !ArtifactRules.IsNote(reason))
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", [FieldError.Query("reason", ArtifactRules.NoteReason)]).ToResult();
        }

        var removing = ArtifactRules.Digest(sha256) is { } digest
            ? await removal.RemoveAsync(caller.Tenant, id, digest, caller.Subject, reason, cancellation)
            : new Removing.NoArtifact();
        return removing switch
        {
            Removing.Removed when await store.ListAsync(caller.Tenant, id, cancellation) is { } left => ETagResult.Ok(left, left.Version),
            Removing.IsEvidence => new Refusal(ArtifactProblems.IsEvidence, "The finding's history names it as the evidence for a change of status.").ToResult(),
            _ => new Refusal(ProblemCodes.NotFound.Code, "The finding has no such artifact.").ToResult(),
        };
    }

    private static async Task<byte[]> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        var buffer = new byte[ReferenceBytes + 1];
        var read = await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        return read <= ReferenceBytes
            ? buffer[..read]
            : throw new RefusedException(new Refusal(ProblemCodes.TooLarge.Code, $"A reference has at most {ReferenceBytes} bytes."));
    }

    private static ArtifactReference Parse(byte[] body)
    {
        try
        {
            return JsonSerializer.Deserialize<ArtifactReference>(body, Wave16Json.Options)
                ?? throw new RefusedException(new Refusal(ProblemCodes.Malformed.Code, "A body is required.", [new FieldError("", "is required")]));
        }
        catch (JsonException broken)
        {
            // As the framework answers a body that it reads itself.
            throw new BadHttpRequestException(broken.Message, StatusCodes.Status400BadRequest, broken);
        }
    }

    private static RefusalResult NotFound(Guid id) => new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {id}.").ToResult();
}
