using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.ServiceDefaults;

internal static class QueryCheck
{
    /// <summary>Refuses U+0000 in a query: no text of PostgreSQL holds it, so it would end as an error of the database. Kestrel refuses it in a path.</summary>
    public static void UseQueryCheck(this WebApplication app) => app.Use(static (http, next) =>
    {
        if (http.Request.QueryString.Value?.Contains("%00", StringComparison.Ordinal) != true)
            return next(http);
        var errors = http.Request.Query
            .Where(parameter => parameter.Key.Contains('\0', StringComparison.Ordinal) || parameter.Value.Any(value => value?.Contains('\0', StringComparison.Ordinal) == true))
            .Select(parameter => FieldError.Query(parameter.Key.Replace('\0', '\uFFFD'), "must not contain the character U+0000"))
            .ToList();
        return errors.Count == 0
            ? next(http)
            : http.RequestServices.GetRequiredService<ProblemWriter>().WriteAsync(http, ProblemCodes.Invalid, "A parameter is not valid.", errors);
    });
}
