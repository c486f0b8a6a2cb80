using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.Hosting;

namespace Wave16.ServiceDefaults;

internal static class LogLevels
{
    /// <summary>What is worth a line unless configuration says otherwise: our own words, and the frameworks' warnings.</summary>
    public static void AddLogLevels(this IHostApplicationBuilder builder) =>
        builder.Configuration.Sources.Insert(0, new MemoryConfigurationSource
        {
            InitialData =
            [
                new("Logging:LogLevel:Default", "Information"),
                new("Logging:LogLevel:Microsoft.AspNetCore", "Warning"),
                new("Logging:LogLevel:Microsoft.Orleans", "Warning"),
                new("Logging:LogLevel:Orleans", "Warning"),
                // Its first check counts from the machine's start and would greet everyone with a deadlock that is none.
                new("Logging:LogLevel:Orleans.Runtime.Watchdog", "Error"),
                // It warns of what Directory.Build.props chose.
                new("Logging:LogLevel:Orleans.Runtime.Silo", "Error"),
                new("Logging:LogLevel:Npgsql", "Warning"),
                new("Logging:LogLevel:Polly", "Warning"),
                // Some sixty lines at Information for each connection.
                new("Logging:LogLevel:StackExchange.Redis", "Warning"),
                new("Logging:LogLevel:System.Net.Http.HttpClient", "Warning"),
            ],
        });
}
