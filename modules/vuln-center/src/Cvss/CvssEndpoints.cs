using System.Text.Json;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Cvss;

internal static class CvssEndpoints
{
    private const long MaxBodyBytes = 64 << 20;

    public static void MapCvss(this IEndpointRouteBuilder app) =>
        app.MapGroup("/cvss").WithTags("Cvss").MapPost("", ScoreAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ScoreVectors").WithSummary("Score CVSS vectors of versions 2.0, 3.0, 3.1 and 4.0")
            .WithDescription("Up to 200,000 vectors. What is no valid vector is an error in its place, with the position; the others are scored all the same.")
            .Accepts<ScoreVectors>("application/json").Produces<ScoredVectors>().ProducesProblem(StatusCodes.Status413PayloadTooLarge)
            .WithBodyLimit(MaxBodyBytes);

    private static async Task<IResult> ScoreAsync(HttpContext http, CancellationToken cancellation) =>
        new Scored(await VectorList.ReadAsync(http.Request.BodyReader, cancellation));

    /// <summary><see cref="ScoredVectors"/>, written as it is computed.</summary>
    private sealed class Scored(IReadOnlyList<CvssReading> readings) : IResult
    {
        private const int BetweenFlushes = 256;

        public async Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.ContentType = "application/json; charset=utf-8";
            var body = httpContext.Response.BodyWriter;
            await using var json = new Utf8JsonWriter(body);
            json.WriteStartObject();
            json.WriteStartArray("results"u8);
            for (var i = 0; i < readings.Count; i++)
            {
                Write(json, i, readings[i]);
                if (i % BetweenFlushes == BetweenFlushes - 1)
                {
                    json.Flush();
                    await body.FlushAsync(httpContext.RequestAborted);
                }
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.Flush();
            await body.FlushAsync(httpContext.RequestAborted);
        }

        private static void Write(Utf8JsonWriter json, int index, CvssReading reading)
        {
            json.WriteStartObject();
            json.WriteNumber("index"u8, index);
            if (reading.Vector is { } vector)
            {
                WriteScored(json, vector);
            }
            else if (reading.Fault is { } fault)
            {
                json.WriteStartObject("error"u8);
                json.WriteNumber("position"u8, fault.Position);
                json.WriteString("reason"u8, fault.Reason);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        private static void WriteScored(Utf8JsonWriter json, CvssVector vector)
        {
            var scores = vector.Score();
            Span<byte> normalised = stackalloc byte[CvssVector.MaxLength];
            json.WriteString("version"u8, vector.Version.Number());
            json.WriteString("vector"u8, normalised[..vector.Format(normalised)]);
            json.WriteStartObject("scores"u8);
            json.WriteNumber("base"u8, scores.Base);
            if (scores.Temporal is { } temporal)
                json.WriteNumber(vector.Version == CvssVersion.V40 ? "threat"u8 : "temporal"u8, temporal);
            if (scores.Environmental is { } environmental)
                json.WriteNumber("environmental"u8, environmental);
            json.WriteEndObject();
            json.WriteNumber("score"u8, scores.Overall);
            json.WriteString("severity"u8, Word(scores.Severity));
        }

        private static ReadOnlySpan<byte> Word(Severity severity) => severity switch
        {
            Severity.None => "none"u8,
            Severity.Low => "low"u8,
            Severity.Medium => "medium"u8,
            Severity.High => "high"u8,
            _ => "critical"u8,
        };
    }
}
