namespace Wave16.LocalPostgres;

/// <summary>What the server's own words mean for whoever started it.</summary>
internal static class ServerFailure
{
    public static PostgresUnavailableException From(string what, ClusterDirectory directory, string output)
    {
        var cause = output switch
        {
            _ when output.Contains("No space left on device", StringComparison.Ordinal)
                => $": the disk that holds {directory.Root} is full. Free some space and start again; nothing committed is lost.",
            _ when output.Contains("could not create any TCP/IP sockets", StringComparison.Ordinal)
                => ": its port is taken by another program.",
            _ when output.Contains("administrative permissions", StringComparison.Ordinal)
                => ": it refuses to run with administrative rights. Start this program as an ordinary user.",
            _ => ".",
        };
        return new($"""
            {what}{cause}
            Its log is {directory.LogFile}; it said:
            {output.TrimEnd()}
            """);
    }
}
