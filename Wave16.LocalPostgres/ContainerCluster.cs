using System.Globalization;
using Docker.DotNet.Models;
using DotNet.Testcontainers.Configurations;
using DotNet.Testcontainers.Containers;
using Npgsql;
using Testcontainers.PostgreSql;

namespace Wave16.LocalPostgres;

/// <summary>
/// A cluster in a container, for machines without PostgreSQL binaries. A durable one keeps its data in a named volume
/// and its container, whose fixed name is what stops two servers from ever opening that volume together.
/// </summary>
internal sealed class ContainerCluster : IPostgresSource
{
    private const string Image = "postgres:17-alpine";
    private readonly LocalPostgresOptions _options;
    private readonly ClusterDirectory _directory;
    private readonly Uri _endpoint;
    private readonly string _name;
    private PostgreSqlContainer? _container;
    private string _password = "";
    private int _port;

    public ContainerCluster(LocalPostgresOptions options, ClusterDirectory directory, Uri endpoint)
    {
        (_options, _directory, _endpoint) = (options, directory, endpoint);
        _name = $"wave16-{directory.Fingerprint}";
    }

    public PostgresKind Kind => PostgresKind.Container;

    public string Description => string.Create(
        CultureInfo.InvariantCulture,
        $"container {_container?.Name.TrimStart('/')}, {Image}, port {_port}{(_options.Durable ? $", volume {_name}" : "")}{(_directory.Remark is { } remark ? $" ({remark})" : "")}");

    public string ConnectionString => new NpgsqlConnectionStringBuilder
    {
        Host = _container?.Hostname,
        Port = _port,
        Username = PrivateCluster.Owner,
        Password = _password,
        Database = "postgres",
    }.ConnectionString;

    /// <summary>The address at which Docker, or else Podman, answers or at least listens; null when neither is there.</summary>
    public static Uri? FindEndpoint()
    {
        if (TestcontainersSettings.OS.DockerEndpointAuthConfig is { } docker)
            return docker.Endpoint;
        string?[] sockets = [Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { } user ? $"{user}/podman/podman.sock" : null, "/run/podman/podman.sock"];
        return OperatingSystem.IsLinux() && Array.Find(sockets, File.Exists) is { } podman ? new Uri($"unix://{podman}") : null;
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _container ??= await BuildAsync(cancellationToken);
        if (_container.State == TestcontainersStates.Running)
            return;
        try
        {
            await _container.StartAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            var stuck = _options.Durable ? $" If a container of an older version is in the way, remove it (docker rm -f {_name}); the data stays in its volume." : "";
            throw new PostgresUnavailableException($"The machine has no PostgreSQL binaries, and the container of {Image} at {_endpoint} did not start: {failure.Message}{stuck}", failure);
        }
        _port = _container.GetMappedPublicPort(PostgreSqlBuilder.PostgreSqlPort);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _container?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_container is not null)
            await _container.DisposeAsync();
        if (_options.Durable)
            _directory.Dispose();
        else
            _directory.Remove();
    }

    private async Task<PostgreSqlContainer> BuildAsync(CancellationToken cancellationToken)
    {
        _password = await _directory.ReadPasswordAsync(cancellationToken) ?? await _directory.WritePasswordAsync(cancellationToken);
        // The port belongs to the container, which is found again by it; a stopped server starts again on it.
        var port = await _directory.ReadPortAsync(cancellationToken) ?? LoopbackPort.Choose(_options.Durable);
        await _directory.WritePortAsync(port, cancellationToken);

        var builder = new PostgreSqlBuilder(Image)
            .WithDockerEndpoint(_endpoint)
            .WithUsername(PrivateCluster.Owner)
            .WithPassword(_password)
            .WithPortBinding(port, PostgreSqlBuilder.PostgreSqlPort)
            .WithCommand([.. ServerSettings.Tuning(_options).SelectMany(setting => new[] { "-c", $"{setting.Key}={setting.Value}" })])
            .WithCreateParameterModifier(OnLoopbackOnly);
        return _options.Durable
            ? builder.WithName(_name).WithVolumeMount(_name, "/var/lib/postgresql/data").WithReuse(true).Build()
            : builder.Build();
    }

    private void OnLoopbackOnly(CreateContainerParameters parameters)
    {
        // A remote engine's loopback is not ours.
        if (_endpoint.Scheme is not ("unix" or "npipe"))
            return;
        foreach (var binding in parameters.HostConfig?.PortBindings?.Values.SelectMany(bindings => bindings) ?? [])
            binding.HostIP = "127.0.0.1";
    }
}
