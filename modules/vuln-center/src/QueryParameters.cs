using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter;

/// <summary>What is misspelt or said twice would change what a request means without anybody noticing.</summary>
internal static class QueryParameters
{
    public static HashSet<string> Of(params string[] names) => new(names, StringComparer.OrdinalIgnoreCase);

    /// <param name="whose">As in <c>is not a parameter of this list</c>.</param>
    public static IEnumerable<FieldError> Check(IQueryCollection query, IReadOnlySet<string> known, string whose)
    {
        foreach (var (name, values) in query)
        {
            if (!known.Contains(name))
            {
                yield return FieldError.Query(name, $"is not a parameter of {whose}");
            }
            else if (values.Count > 1)
            {
                yield return FieldError.Query(name, "must be given once");
            }
        }
    }
}
