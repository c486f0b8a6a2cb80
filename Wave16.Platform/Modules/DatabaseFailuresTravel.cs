using System.Buffers;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Npgsql;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Serializers;
using Orleans.Serialization.WireProtocol;

namespace Wave16.Platform.Modules;

/// <summary>
/// Npgsql's exceptions cannot travel to a caller on another silo: he would get a failure to serialize, and the client a 500, whether
/// a grain's call failed or its activation. In their place goes what the failure means, as an exception that Orleans knows; its
/// mapping to an answer is the ordinary one.
/// </summary>
internal sealed class DatabaseFailuresTravel(ILogger<DatabaseFailuresTravel> log) : IGeneralizedCodec
{
    public bool IsSupportedType(Type type) => typeof(NpgsqlException).IsAssignableFrom(type);

    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, object? value)
        where TBufferWriter : IBufferWriter<byte>
    {
        var meaning = Meaning(value as NpgsqlException ?? throw new NotSupportedException($"{value?.GetType()} is no failure of a database."));
        writer.Session.CodecProvider.GetCodec(meaning.GetType()).WriteField(ref writer, fieldIdDelta, expectedType, meaning);
    }

    /// <exception cref="NotSupportedException">Nobody has written one.</exception>
    public object ReadValue<TInput>(ref Reader<TInput> reader, Field field) => throw new NotSupportedException($"{field} is of a type that is not sent.");

    private Exception Meaning(NpgsqlException failure)
    {
        switch (failure)
        {
            case PostgresException { SqlState: PostgresErrorCodes.QueryCanceled }:
                return new TimeoutException("The database took too long.");
            case PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction } or { IsTransient: true }:
            case { InnerException: SocketException or IOException or TimeoutException }:
                return new SiloUnavailableException("The grain's database cannot be used right now.");
            default:
                log.LogError(failure, "A grain met a failure of its database");
                return new InvalidOperationException($"The grain's database refused: {failure.SqlState ?? failure.GetType().Name}");
        }
    }
}
