using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;

namespace Wave16.Platform.Http;

/// <summary>How a request's body becomes part of its fingerprint.</summary>
public enum IdempotencyBody
{
    /// <summary>It is read and buffered before the handler runs.</summary>
    Buffered,

    /// <summary>The handler reads it, and says what it read through <see cref="Idempotent.Once"/>.</summary>
    HashedByHandler,
}

public static class IdempotencyExtensions
{
    /// <summary>
    /// Honours <c>Idempotency-Key</c> (draft-ietf-httpapi-idempotency-key-header) on an endpoint that creates. The key belongs to the caller and
    /// is kept for 24 h: the same request again gets the first one's answer with <c>Idempotency-Replayed: true</c>; another
    /// request 422; one that is still running 409 with Retry-After. A request without a key is allowed and is never the same as another.
    /// </summary>
    /// <remarks>
    /// Not kept: 5xx, 408, 409, 412, 425, 428, 429, since the same request may succeed later, and answers over 256 KiB. Those run the
    /// handler again under the same <see cref="CommandId"/>, so a handler that changes something passes it to its save. What is
    /// kept is the answer as sent: an endpoint that answers with personal data must not use this.
    /// </remarks>
    public static RouteHandlerBuilder WithIdempotency(this RouteHandlerBuilder endpoint, IdempotencyBody body = IdempotencyBody.Buffered)
    {
        if (body is IdempotencyBody.Buffered)
        {
            endpoint.Add(builder =>
            {
                if (builder.RequestDelegate is { } answer)
                {
                    builder.RequestDelegate = context => Idempotent.AnswerAsync(context, Fingerprint.OfBodyAsync, answer);
                }
            });
        }

        string[] problem = ["application/problem+json"];
        return endpoint
            .WithMetadata(
                new ProducesResponseTypeMetadata(StatusCodes.Status409Conflict, typeof(ProblemDetails), problem),
                new ProducesResponseTypeMetadata(StatusCodes.Status422UnprocessableEntity, typeof(ProblemDetails), problem))
            .AddOpenApiOperationTransformer((operation, _, _) =>
            {
                (operation.Parameters ??= []).Add(new OpenApiParameter
                {
                    Name = IdempotencyKey.Header,
                    In = ParameterLocation.Header,
                    Description = "Makes the request repeatable: the same key and request give the first answer again, for 24 hours.",
                    Schema = new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = IdempotencyKey.MaxLength },
                });
                return Task.CompletedTask;
            });
    }

    internal static void AddIdempotency(this ModuleBuilder module) =>
        module.Services.AddKeyedSingleton(module.Name, (services, _) => new IdempotencyStore(
            services.GetRequiredKeyedService<ModuleDatabase>(module.Name),
            services.GetRequiredService<TimeProvider>()));
}
