using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary>What is misspelt or said twice would change what a request means without anybody noticing.</summary>
public static class QueryParameters
{
    /// <summary>Names of parameters, in any case.</summary>
    public static HashSet<string> Of(params string[] names) => new(names, StringComparer.OrdinalIgnoreCase);

    /// <summary>Those that are not known, and those that are given more than once.</summary>
    /// <param name="query">Of the request.</param>
    /// <param name="known">Names of <see cref="Of"/>.</param>
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
