using System.Globalization;
using System.Numerics;

namespace Wave16.Neighbours;

/// <summary>Collects what is wrong with a request, so that the caller learns all of it at once.</summary>
internal sealed class Checks
{
    readonly List<FieldError> _errors = [];

    /// <summary>The answer when anything was wrong.</summary>
    public IResult? Refusal =>
        _errors.Count == 0 ? null : Problems.Of(StatusCodes.Status400BadRequest, "validation", "The request breaks the contract.", _errors);

    public void Add(string pointer, string detail) => _errors.Add(new(detail, Pointer: pointer));

    public T Required<T>(string field, T? value) where T : struct
    {
        if (value is null)
            Add(JsonPointer.Of(field), "is required");
        return value.GetValueOrDefault();
    }

    public string Text(string field, string? value, int maxLength = 2_000) => Optional(field, Require(field, value), maxLength) ?? "";

    public string? Optional(string field, string? value, int maxLength = 2_000)
    {
        if (value is not null && string.IsNullOrWhiteSpace(value))
            Add(JsonPointer.Of(field), "must not be blank");
        if (value?.Length > maxLength)
            Add(JsonPointer.Of(field), string.Create(CultureInfo.InvariantCulture, $"must have at most {maxLength} characters"));
        return value;
    }

    /// <summary>An absolute http or https address.</summary>
    public string Link(string field, string? value) => OptionalLink(field, Require(field, value)) ?? "";

    public string? OptionalLink(string field, string? value)
    {
        if (value is not null && !(Uri.TryCreate(value, UriKind.Absolute, out var link) && link.Scheme is "http" or "https"))
            Add(JsonPointer.Of(field), "must be an absolute http or https URL");
        return Optional(field, value);
    }

    public void Range<T>(string field, T? value, T min, T max) where T : struct, INumber<T>
    {
        if (value is { } number && !(number >= min && number <= max))
            Add(JsonPointer.Of(field), string.Create(CultureInfo.InvariantCulture, $"must be from {min} to {max}"));
    }

    /// <summary>The tenant on whose behalf the call is made: header <c>Tenant-Id</c>.</summary>
    public string Tenant(HttpRequest request)
    {
        if (!request.Headers.ContainsKey(TenantHeader))
            _errors.Add(new("is required", Header: TenantHeader));
        return OptionalTenant(request) ?? "";
    }

    /// <summary>On reads the header narrows to one tenant; without it, all are shown.</summary>
    public string? OptionalTenant(HttpRequest request)
    {
        if (!request.Headers.TryGetValue(TenantHeader, out var values))
            return null;
        if (values is [{ Length: > 0 and <= 200 } tenant])
            return tenant;
        _errors.Add(new("must be one tenant's id, at most 200 characters", Header: TenantHeader));
        return "";
    }

    public string Header(HttpRequest request, string name, int maxLength)
    {
        var values = request.Headers[name];
        if (values is [{ Length: > 0 } value] && value.Length <= maxLength)
            return value;
        _errors.Add(new(values.Count == 0 ? "is required" : string.Create(CultureInfo.InvariantCulture, $"must be given once, with 1 to {maxLength} characters"), Header: name));
        return "";
    }

    public string Segment(HttpRequest request, Index index, string parameter)
    {
        if (RequestTarget.TryGetSegment(request, index, out var segment) && segment.Length is > 0 and <= 1_000)
            return segment;
        _errors.Add(new("must be percent-encoded UTF-8 without control characters, at most 1000 characters", Parameter: parameter));
        return "";
    }

    /// <summary>A whole number from the query.</summary>
    public long Number(HttpRequest request, string parameter, long otherwise, long min, long max)
    {
        var values = request.Query[parameter];
        if (values.Count == 0)
            return otherwise;
        if (values.Count == 1 && long.TryParse(values[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
            return number;
        _errors.Add(new(string.Create(CultureInfo.InvariantCulture, $"must be a whole number from {min} to {max}"), Parameter: parameter));
        return otherwise;
    }

    // JSON numbers are exact up to 2^53.
    public long After(HttpRequest request) => Number(request, "after", 0, 0, 1L << 53);

    public int Limit(HttpRequest request) => (int)Number(request, "limit", 100, 1, 1_000);

    const string TenantHeader = "Tenant-Id";

    string? Require(string field, string? value)
    {
        if (value is null)
            Add(JsonPointer.Of(field), "is required");
        return value;
    }
}
