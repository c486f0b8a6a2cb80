using System.Collections.Frozen;

namespace Wave16.ServiceDefaults;

/// <summary>Every problem code this process can answer with.</summary>
public sealed class ProblemCatalogue
{
    private readonly FrozenDictionary<string, ProblemCode> _codes;
    private readonly FrozenDictionary<int, ProblemCode> _byStatus;

    /// <exception cref="ArgumentException">Two declarations of one code differ, or a status is not an error.</exception>
    public ProblemCatalogue(IEnumerable<ProblemCode> contributed)
    {
        var codes = new Dictionary<string, ProblemCode>(StringComparer.Ordinal);
        foreach (var code in ProblemCodes.All.Concat(contributed))
        {
            if (code.Status is < 400 or > 599)
                throw new ArgumentException($"Problem code '{code.Code}' has status {code.Status}, which is not an error.", nameof(contributed));
            if (!codes.TryAdd(code.Code, code) && codes[code.Code] != code)
                throw new ArgumentException($"Problem code '{code.Code}' is declared twice, differently.", nameof(contributed));
        }

        _codes = codes.ToFrozenDictionary(StringComparer.Ordinal);
        _byStatus = ProblemCodes.All.GroupBy(c => c.Status).ToFrozenDictionary(g => g.Key, ForStatusOf);
    }

    public IReadOnlyCollection<ProblemCode> Codes => _codes.Values;

    public ProblemCode? Find(string code) => _codes.GetValueOrDefault(code);

    /// <summary>The code for a status that was set without one (by routing, by Kestrel, by a handler).</summary>
    internal ProblemCode ForStatus(int status) =>
        _byStatus.GetValueOrDefault(status)
        ?? new ProblemCode(
            string.Create(System.Globalization.CultureInfo.InvariantCulture, $"http.{status}"), status,
            Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status));

    private static ProblemCode ForStatusOf(IGrouping<int, ProblemCode> codes) => codes.Key switch
    {
        503 => ProblemCodes.Unavailable,
        _ => codes.First(),
    };
}
