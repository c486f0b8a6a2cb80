using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Orleans.Serialization;
using Orleans.Serialization.Serializers;
using Wave16.Platform.Modules;

namespace Wave16.Platform.Tests.Modules;

public sealed class DatabaseFailuresTravelTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection()
        .AddSerializer()
        .AddSingleton<IGeneralizedCodec>(new DatabaseFailuresTravel(NullLogger<DatabaseFailuresTravel>.Instance))
        .BuildServiceProvider();

    public static TheoryData<NpgsqlException, Type> Failures => new()
    {
        { new NpgsqlException("Failed to connect", new SocketException((int)SocketError.ConnectionRefused)), typeof(SiloUnavailableException) },
        { new NpgsqlException("Exception while reading", new IOException("reset")), typeof(SiloUnavailableException) },
        { Postgres(PostgresErrorCodes.AdminShutdown), typeof(SiloUnavailableException) },
        { Postgres(PostgresErrorCodes.ReadOnlySqlTransaction), typeof(SiloUnavailableException) },
        { Postgres(PostgresErrorCodes.QueryCanceled), typeof(TimeoutException) },
        { Postgres(PostgresErrorCodes.UndefinedTable), typeof(InvalidOperationException) },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void A_failure_of_the_database_arrives_on_another_silo_as_what_it_means(NpgsqlException failure, Type meaning)
    {
        Assert.IsType(meaning, Sent(failure));
        // As Orleans wraps what an activation failed with.
        Assert.IsType(meaning, Assert.IsType<InvalidOperationException>(Sent(new InvalidOperationException("Failed to activate grain.", failure))).InnerException);
    }

    public void Dispose() => _services.Dispose();

    private static PostgresException Postgres(string code) => new("refused", "FATAL", "FATAL", code);

    private Exception? Sent(Exception failure)
    {
        var serializer = _services.GetRequiredService<Serializer<Exception>>();
        return serializer.Deserialize(serializer.SerializeToArray(failure));
    }
}
