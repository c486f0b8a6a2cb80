using System.ComponentModel.DataAnnotations;

namespace Wave16.VulnCenter.Tickets;

/// <summary>Configuration section <c>VulnCenter</c>.</summary>
internal sealed class TicketOptions : IValidatableObject
{
    /// <summary>What integration-hub signs its webhooks with: <c>whsec_</c> and the base64 of 24 to 64 bytes. While it is changed, both, separated by a blank.</summary>
    public string? TicketWebhookSecret { get; set; }

    /// <summary>Hours between two times that an open ticket is asked for, give or take a tenth.</summary>
    [Range(1, 720)]
    public int TicketPollHours { get; set; } = 6;

    public IReadOnlyList<byte[]> Secrets() =>
        [.. (TicketWebhookSecret ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(secret => WebhookSignature.Key(secret) ?? [])];

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Secrets().Any(key => key.Length == 0))
        {
            yield return new ValidationResult("VulnCenter:TicketWebhookSecret must be whsec_ and the base64 of 24 to 64 bytes.", [nameof(TicketWebhookSecret)]);
        }
    }
}
