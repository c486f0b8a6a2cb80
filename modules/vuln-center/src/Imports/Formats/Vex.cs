namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Statements that something is, or is not, exploitable (VEX), as CycloneDX and OpenVEX make them.</summary>
internal static class Vex
{
    /// <summary>Why a statement is not a problem, in the words it gives.</summary>
    public static string Reason(string state, string? justification, string? detail)
    {
        var because = Bounded.Word(justification) is { } why ? $" ({why})" : "";
        return Bounded.Title($"Stated as {Bounded.Word(state)}{because}{(string.IsNullOrWhiteSpace(detail) ? "." : $": {detail.Trim()}")}");
    }
}
