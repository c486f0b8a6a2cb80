namespace Wave16.ServiceDefaults;

/// <summary>An expected failure as a value: what was asked for cannot be done, and why.</summary>
/// <remarks>Serialisable, so that it can be stored as a command's answer and given again. It becomes a problem document
/// (RFC 9457) in one place, <see cref="Problems.ToResult"/>; the status and title belong to the code's <see cref="ProblemCode"/>.</remarks>
/// <param name="Code">A declared code, for example <c>finding.invalid-transition</c>.</param>
/// <param name="Detail">One sentence for the caller, about this occurrence. No internals, no secrets.</param>
/// <param name="Errors">For validation: one entry per bad field.</param>
public sealed record Refusal(string Code, string Detail, IReadOnlyList<FieldError>? Errors = null);

/// <summary>One bad field of a request.</summary>
/// <param name="Pointer">RFC 6901 JSON pointer into the body (<c>/findings/3/severity</c>), <c>?name</c> for a query
/// parameter, or the bare name of a header.</param>
/// <param name="Reason">What is wrong with it, as a phrase that follows the field's name: "must be at most 500".</param>
public sealed record FieldError(string Pointer, string Reason)
{
    public static FieldError Query(string parameter, string reason) => new("?" + parameter, reason);

    public static FieldError Header(string header, string reason) => new(header, reason);
}

/// <summary>Carries a refusal out of a place that can only throw: parameter binding, a converter. Rules and grains return
/// <see cref="Refusal"/> instead.</summary>
public sealed class RefusedException(Refusal refusal) : Exception(refusal.Detail)
{
    public Refusal Refusal { get; } = refusal;
}
