using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Wave16.Neighbours;

/// <summary>A webhook taken in; not verified when no secret is configured.</summary>
internal sealed record Webhook(string Id, string? Type, bool Verified, DateTimeOffset ReceivedAt, JsonElement Payload);

internal sealed record WebhookReceipt(string Id, bool Duplicate, bool Verified);

/// <summary>
/// Takes webhooks as Standard Webhooks states them: a JSON object, as a rule with a <c>type</c>, identified by <c>webhook-id</c>,
/// signed when a secret is configured. A webhook sent again is accepted and not kept twice.
/// </summary>
internal sealed class WebhookIntake(TimeProvider time, byte[]? secret)
{
    readonly Lock _gate = new();
    readonly Shelf<string, (Webhook Webhook, byte[] Digest)> _webhooks = new();

    public void Map(IEndpointRouteBuilder webhooks)
    {
        webhooks.MapPost("", Take);
        webhooks.MapGet("", List);
    }

    IResult Take(HttpContext context)
    {
        var body = RequestBody.Of(context).Bytes;
        var checks = new Checks();
        var id = checks.Header(context.Request, StandardWebhooks.IdHeader, 256);
        var timestamp = checks.Header(context.Request, StandardWebhooks.TimestampHeader, 20);
        var signatures = secret is null ? "" : checks.Header(context.Request, StandardWebhooks.SignatureHeader, 4_096);
        if (checks.Refusal is { } incomplete)
            return incomplete;
        if (!StandardWebhooks.IsTimely(timestamp, time.GetUtcNow()))
            return Refused("webhook.timestamp", "must be Unix seconds within five minutes of now", StandardWebhooks.TimestampHeader);
        if (secret is not null && !StandardWebhooks.IsSigned(secret, id, timestamp, body.Span, signatures))
            return Refused("webhook.signature", "has no v1 signature of this body by the shared secret", StandardWebhooks.SignatureHeader);

        if (!JsonBody.TryRead(context, NeighboursJson.Default.DictionaryStringJsonElement, out var payload, out var refusal))
            return refusal;
        var type = payload.TryGetValue("type", out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        var payloadShown = JsonSerializer.SerializeToElement(payload, NeighboursJson.Default.DictionaryStringJsonElement);
        return Keep(new(id, type, secret is not null, time.GetUtcNow(), payloadShown), SHA256.HashData(body.Span));
    }

    IResult Keep(Webhook webhook, byte[] digest)
    {
        lock (_gate)
        {
            if (_webhooks.TryGet(webhook.Id, out var known))
            {
                return known.Digest.AsSpan().SequenceEqual(digest)
                    ? Accepted(webhook, duplicate: true)
                    : Problems.Of(StatusCodes.Status422UnprocessableEntity, "webhook.id-reused", "This webhook-id came with another body.");
            }
            return _webhooks.Put(webhook.Id, (webhook, digest)) is Placed.Full ? Problems.Full("webhooks") : Accepted(webhook, duplicate: false);
        }
    }

    IResult List(HttpContext context)
    {
        var checks = new Checks();
        var (after, limit) = (checks.After(context.Request), checks.Limit(context.Request));
        if (checks.Refusal is { } refused)
            return refused;
        var page = _webhooks.Read(after, limit, _ => true);
        return TypedResults.Json(new Page<Webhook>([.. page.Items.Select(item => item.Webhook)], page.Next), NeighboursJson.Default.PageWebhook);
    }

    static JsonHttpResult<WebhookReceipt> Accepted(Webhook webhook, bool duplicate) =>
        TypedResults.Json(new WebhookReceipt(webhook.Id, duplicate, webhook.Verified), NeighboursJson.Default.WebhookReceipt, statusCode: StatusCodes.Status202Accepted);

    static IResult Refused(string code, string reason, string header) =>
        Problems.Of(StatusCodes.Status401Unauthorized, code, "The webhook cannot be trusted.", [new(reason, Header: header)]);
}
