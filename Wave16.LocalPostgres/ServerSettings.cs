using System.Globalization;

namespace Wave16.LocalPostgres;

/// <summary>The settings of a private server: ours for a small machine, then the caller's, then what we rely on.</summary>
internal static class ServerSettings
{
    public static Dictionary<string, string> For(LocalPostgresOptions options, int port)
    {
        var settings = Tuning(options);
        settings["timezone"] = "UTC";
        settings["port"] = port.ToString(CultureInfo.InvariantCulture);
        settings["listen_addresses"] = "127.0.0.1";
        settings["unix_socket_directories"] = "";
        // Its words reach us on stderr and in English; we wait for some of them.
        settings["logging_collector"] = "off";
        settings["log_destination"] = "stderr";
        settings["log_min_messages"] = "warning";
        settings["log_line_prefix"] = "%m [%p] ";
        settings["log_timezone"] = "UTC";
        settings["lc_messages"] = "C";
        return settings;
    }

    // A backlog that does not fit is copied from the page cache row by row. What is not used is never touched.
    private static long SharedMegabytes() => Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 16 / (1 << 20), 128, 1024);

    /// <summary>What a container takes as well.</summary>
    public static Dictionary<string, string> Tuning(LocalPostgresOptions options)
    {
        var durable = options.Durable ? "on" : "off";
        Dictionary<string, string> settings = new(StringComparer.Ordinal)
        {
            ["shared_buffers"] = string.Create(CultureInfo.InvariantCulture, $"{(options.Durable ? SharedMegabytes() : 64)}MB"),
            ["max_connections"] = "200",
            ["jit"] = "off",
            ["fsync"] = durable,
            ["full_page_writes"] = durable,
            ["synchronous_commit"] = durable,
        };
        foreach (var (name, value) in options.Settings ?? new Dictionary<string, string>())
            settings[name] = value;
        return settings;
    }
}
