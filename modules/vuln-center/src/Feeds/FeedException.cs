namespace Wave16.VulnCenter.Feeds;

/// <summary>The feed cannot be taken: HTTP 422. Nothing of it is kept.</summary>
/// <param name="pointer">RFC 6901 pointer in JSON; <c>#line=17</c> in lines of text.</param>
/// <param name="reason">What is wrong there, as a phrase that follows the field's name.</param>
internal sealed class FeedException(string pointer, string reason) : Exception($"{pointer} {reason}")
{
    public string Pointer { get; } = pointer;

    public string Reason { get; } = reason;

    public static FeedException AtLine(long line, string reason) => new(LinePointer(line), reason);

    public static string LinePointer(long line) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"#line={line}");
}
