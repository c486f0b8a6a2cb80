using System.Net.Sockets;
using Npgsql;
using Polly;

namespace Wave16.ServiceDefaults;

/// <summary>The failures every module can meet: the database, the cluster, a neighbour. Orleans is known by name, so that a host
/// without grains does not carry it.</summary>
internal sealed class InfrastructureFailures : IExceptionMapper
{
    private static readonly ExceptionAnswer Database = new(ProblemCodes.Unavailable, "The database cannot be reached right now.", "postgres");
    private static readonly ExceptionAnswer DatabaseBusy = new(ProblemCodes.Overloaded, "The service is busy: every connection to its database is in use.", "postgres");
    private static readonly ExceptionAnswer DatabaseTooSlow = new(ProblemCodes.TimedOut, "The database took too long.", "postgres");
    private static readonly ExceptionAnswer Cluster = new(ProblemCodes.Unavailable, "The entity's owner cannot be reached right now.", "orleans");
    private static readonly ExceptionAnswer ClusterBusy = new(ProblemCodes.Overloaded, "The cluster is at its limit.", "orleans");
    private static readonly ExceptionAnswer Neighbour = new(ProblemCodes.Unavailable, "A system this depends on cannot be reached right now.", "neighbour");
    private static readonly ExceptionAnswer TooSlow = new(ProblemCodes.TimedOut, "A dependency took too long to answer.");

    public ExceptionAnswer? Map(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.QueryCanceled } => DatabaseTooSlow,
        // After a failover the old primary answers reads only.
        PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction } => Database,
        PostgresException { IsTransient: true } => Database,
        PostgresException => null,
        NpgsqlException failure when failure.IsPoolExhausted() => DatabaseBusy,
        NpgsqlException { IsTransient: true } or NpgsqlException { InnerException: SocketException or IOException or TimeoutException } => Database,
        SocketException or HttpRequestException or ExecutionRejectedException => Neighbour,
        TimeoutException => TooSlow,
        _ => exception.GetType().FullName switch
        {
            "Orleans.Runtime.SiloUnavailableException" or "Orleans.Runtime.OrleansMessageRejectionException"
                or "Orleans.Runtime.ClientNotAvailableException" or "Orleans.Runtime.OrleansClusterDisconnectedException"
                or "Orleans.Runtime.Messaging.ConnectionFailedException" or "Orleans.Runtime.Messaging.ConnectionAbortedException" => Cluster,
            "Orleans.Runtime.GatewayTooBusyException" or "Orleans.Runtime.LimitExceededException" => ClusterBusy,
            _ => null,
        },
    };
}
