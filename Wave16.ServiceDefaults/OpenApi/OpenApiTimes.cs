using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>A time is a text, which a converter of our own does not tell the schema's exporter.</summary>
internal static class OpenApiTimes
{
    public static void Describe(OpenApiSchema schema, Type type)
    {
        if ((Nullable.GetUnderlyingType(type) ?? type) != typeof(DateTimeOffset))
            return;
        schema.Type = Nullable.GetUnderlyingType(type) is null ? JsonSchemaType.String : JsonSchemaType.String | JsonSchemaType.Null;
        schema.Format = "date-time";
    }
}
