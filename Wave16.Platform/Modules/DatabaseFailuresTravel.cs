using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Wave16.Platform.Modules;

/// <summary>
/// Npgsql's exceptions cannot travel to a caller on another silo: he would get a failure to serialize, and the client a 500. He
/// gets what the failure means instead, in an exception that Orleans knows; its mapping to an answer is the ordinary one.
/// </summary>
internal sealed class DatabaseFailuresTravel(ILogger<DatabaseFailuresTravel> log) : IIncomingGrainCallFilter
{
    public async Task Invoke(IIncomingGrainCallContext context)
    {
        try
        {
            await context.Invoke();
        }
        catch (NpgsqlException failure)
        {
            throw Meaning(failure, context.TargetId);
        }
    }

    private Exception Meaning(NpgsqlException failure, GrainId grain)
    {
        switch (failure)
        {
            case PostgresException { SqlState: PostgresErrorCodes.QueryCanceled }:
                return new TimeoutException("The database took too long.");
            case PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction } or { IsTransient: true }:
            case { InnerException: SocketException or IOException or TimeoutException }:
                return new SiloUnavailableException("The grain's database cannot be used right now.");
            default:
                log.LogError(failure, "{Grain} met a failure of its database", grain);
                return new InvalidOperationException($"The grain's database refused: {failure.SqlState ?? failure.GetType().Name}");
        }
    }
}
