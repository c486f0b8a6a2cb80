using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Wave16.ServiceDefaults;

/// <summary>Answers with an entity and its version as ETag.</summary>
public static class ETagResult
{
    /// <summary>200 with the entity, or 304 when a GET's If-None-Match names this version (RFC 9110 §13.1.2).</summary>
    public static ETagResult<T> Ok<T>(T entity, long version) => new(entity, version, StatusCodes.Status200OK, location: null);

    /// <summary>200 with an entity of which parts change without a new version: a GET's tag stands for all of it, and If-Match looks at the version in it.</summary>
    public static ETagResult<T> Live<T>(T entity, long version) => new(entity, version, StatusCodes.Status200OK, location: null, live: true);

    /// <summary>201 with the entity and where it is.</summary>
    public static ETagCreatedResult<T> Created<T>(string location, T entity, long version) =>
        new(new ETagResult<T>(entity, version, StatusCodes.Status201Created, location));
}

public sealed class ETagResult<T> : IResult, IEndpointMetadataProvider, IValueHttpResult<T>, IStatusCodeHttpResult
{
    private readonly int _status;
    private readonly string? _location;
    private readonly bool _live;

    internal ETagResult(T entity, long version, int status, string? location, bool live = false)
    {
        (Value, Version, _status, _location, _live) = (entity, version, status, location, live);
    }

    public T? Value { get; }

    public long Version { get; }

    public int? StatusCode => _status;

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var isGet = HttpMethods.IsGet(httpContext.Request.Method);
        var tag = new ETagVersion(Version).ToString();
        if (_live && isGet)
        {
            var options = httpContext.RequestServices.GetRequiredService<IOptions<JsonOptions>>().Value.SerializerOptions;
            tag = ETagVersion.OfContent(Version, JsonSerializer.SerializeToUtf8Bytes(Value, options));
        }

        httpContext.Response.Headers.ETag = tag;
        if (_location is not null)
            httpContext.Response.Headers.Location = _location;
        if (_status == StatusCodes.Status200OK && isGet && Unchanged(httpContext.Request, tag))
        {
            httpContext.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        httpContext.Response.StatusCode = _status;
        return httpContext.Response.WriteAsJsonAsync(Value, httpContext.RequestAborted);
    }

    // If-None-Match compares weakly, and a proxy that compressed the answer may have made our tag weak.
    private static bool Unchanged(HttpRequest request, string tag)
    {
        foreach (var header in request.Headers.IfNoneMatch)
        {
            foreach (var range in header.AsSpan().Split(','))
            {
                var candidate = header.AsSpan(range).Trim(" \t");
                if (candidate is "*" || candidate.SequenceEqual(tag) || (candidate.StartsWith("W/") && candidate[2..].SequenceEqual(tag)))
                    return true;
            }
        }

        return false;
    }

    static void IEndpointMetadataProvider.PopulateMetadata(System.Reflection.MethodInfo method, EndpointBuilder builder)
    {
        builder.Metadata.Add(new ProducesResponseTypeMetadata(StatusCodes.Status200OK, typeof(T), ["application/json"]));
        builder.Metadata.Add(ETagMetadata.Instance);
    }
}

public sealed class ETagCreatedResult<T> : IResult, IEndpointMetadataProvider, IValueHttpResult<T>, IStatusCodeHttpResult
{
    private readonly ETagResult<T> _inner;

    internal ETagCreatedResult(ETagResult<T> inner) => _inner = inner;

    public T? Value => _inner.Value;

    public long Version => _inner.Version;

    public int? StatusCode => StatusCodes.Status201Created;

    public Task ExecuteAsync(HttpContext httpContext) => _inner.ExecuteAsync(httpContext);

    static void IEndpointMetadataProvider.PopulateMetadata(System.Reflection.MethodInfo method, EndpointBuilder builder)
    {
        builder.Metadata.Add(new ProducesResponseTypeMetadata(StatusCodes.Status201Created, typeof(T), ["application/json"]));
        builder.Metadata.Add(ETagMetadata.Instance);
    }
}

/// <summary>Tells OpenAPI that the answer carries an ETag.</summary>
internal sealed class ETagMetadata
{
    public static readonly ETagMetadata Instance = new();
}
