using Microsoft.AspNetCore.Builder;

namespace Wave16.ServiceDefaults;

/// <summary>A second form of an answer.</summary>
internal sealed record AlsoProduced(Type Type, string MediaType);

public static class AlsoProducedExtensions
{
    /// <summary>Declares a second form of the answer of 200: the framework takes the last one that is declared for the only one.</summary>
    /// <typeparam name="T">A string, or what another operation answers with as well.</typeparam>
    /// <param name="endpoint">Declares the first form by its result.</param>
    /// <param name="mediaType">May be that of the first form.</param>
    public static RouteHandlerBuilder AlsoProduces<T>(this RouteHandlerBuilder endpoint, string mediaType = "application/json") =>
        endpoint.WithMetadata(new AlsoProduced(typeof(T), mediaType));
}
