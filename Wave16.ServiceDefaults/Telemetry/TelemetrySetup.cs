using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Wave16.ServiceDefaults;

public static class TelemetrySetup
{
    private const int FlushWithin = 2_000; // ms
    private const string OtlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    internal static bool HasPrometheus(IConfiguration configuration) => configuration.GetValue<bool>("Metrics:Prometheus");

    internal static void AddTelemetry(this WebApplicationBuilder builder, string serviceName)
    {
        KeepQueryStringsOutOfLogs(builder.Logging);
        var otlp = !string.IsNullOrWhiteSpace(builder.Configuration[OtlpEndpoint]) && !OpenApiBuild.IsRunning;
        var prometheus = HasPrometheus(builder.Configuration);
        // Instrumentation that nobody reads still costs every request its share.
        if (!otlp && !prometheus)
            return;

        var npgsql = ClientSettings.Read(builder.Configuration, ClientSettings.Npgsql, name: null);
        var telemetry = builder.Services.AddOpenTelemetry().WithMetrics(metrics =>
        {
            metrics.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddRuntimeInstrumentation()
                .AddMeter("Wave16.*", "Microsoft.Orleans", "Polly");
            if (!npgsql.DisableMetrics)
                metrics.AddMeter("Npgsql");
            if (prometheus)
                metrics.AddPrometheusExporter();
        });
        if (string.IsNullOrEmpty(builder.Configuration["OTEL_SERVICE_NAME"]))
            telemetry.ConfigureResource(resource => resource.AddService(serviceName));
        if (!otlp)
            return;

        // Both instrumentations replace the values of query parameters with "Redacted" unless an OTEL_DOTNET_EXPERIMENTAL_… variable
        // says otherwise; Values_of_query_parameters_leave_in_no_trace holds them to it.
        telemetry.WithTracing(traces =>
        {
            traces.AddAspNetCoreInstrumentation(options => options.Filter = http =>
                    http.Request.Path.Value is not ("/health" or "/alive" or "/metrics"))
                .AddHttpClientInstrumentation()
                .AddSource("Wave16.*", "Microsoft.Orleans.*");
            if (!npgsql.DisableTracing)
                traces.AddSource("Npgsql");
        });
        builder.Logging.AddOpenTelemetry(logs => logs.IncludeFormattedMessage = true);
        telemetry.UseOtlpExporter();
        // The exporter takes its clients from the factory. The resilience pipelines of other clients are gone when it sends for the
        // last time, and the end of every process would be lost.
        foreach (var client in (string[])["OtlpTraceExporter", "OtlpMetricExporter", "OtlpLogExporter"])
            builder.Services.AddHttpClient(client).ConfigureAdditionalHttpMessageHandlers(static (handlers, _) => handlers.Clear());
    }

    /// <summary>Sends and writes what is waiting, for a process that ends without disposing of its host. Nothing is logged after it.</summary>
    public static void FlushTelemetry(this IServiceProvider services)
    {
        services.GetService<TracerProvider>()?.ForceFlush(FlushWithin);
        services.GetService<MeterProvider>()?.ForceFlush(FlushWithin);
        services.GetRequiredService<ILoggerFactory>().Dispose();
    }

    // Both categories write whole request URLs at Information. The rules come last and name the full category, so that a general
    // Microsoft.AspNetCore=Information in configuration does not bring them back.
    private static void KeepQueryStringsOutOfLogs(ILoggingBuilder logging)
    {
        logging.Services.PostConfigure<LoggerFilterOptions>(options =>
        {
            options.Rules.Add(new LoggerFilterRule(null, "Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning, null));
            options.Rules.Add(new LoggerFilterRule(null, "Microsoft.AspNetCore.Routing.EndpointMiddleware", LogLevel.Warning, null));
            options.Rules.Add(new LoggerFilterRule(null, "System.Net.Http.HttpClient", LogLevel.Warning, null));
        });
    }
}
