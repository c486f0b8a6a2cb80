using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Wave16.LocalPostgres;
using Wave16.Neighbours;
using Wave16.Testing;

namespace Wave16.Distributed.Tests;

/// <summary>
/// The deployed application on this machine: every project of the manifest as processes with the environment the manifest gives
/// them, its containers as local servers, and beside it what an installation has: an OIDC authority and the neighbours.
/// </summary>
internal sealed class Composition : IAsyncDisposable
{
    private readonly Manifest _manifest;
    private readonly Dictionary<string, string> _parameters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<Replica>> _replicas = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _ports = new(StringComparer.Ordinal);
    private readonly List<IAsyncDisposable> _started = [];

    /// <summary>To be started by <see cref="StartAsync"/>.</summary>
    public Composition(Manifest manifest) => _manifest = manifest;

    public PostgresServer Postgres { get; private set; } = null!;

    public RedisServer Redis { get; private set; } = null!;

    public RabbitMqServer Broker { get; private set; } = null!;

    /// <summary>As the manifest gives it to the modules.</summary>
    public string BrokerConnection { get; private set; } = "";

    public Authority Authority { get; private set; } = null!;

    /// <summary>Talks to the neighbours' stand-ins: what they received, how they misbehave.</summary>
    public HttpClient Outside { get; } = new();

    /// <param name="replicas">Of each module.</param>
    /// <param name="previous">Starts what that release had; null for what was built with the tests.</param>
    /// <param name="cancellation">Ends the start.</param>
    public async Task StartAsync(int replicas, PreviousRelease? previous, CancellationToken cancellation)
    {
        await StartSurroundingsAsync(cancellation);
        foreach (var container in _manifest.Containers)
        {
            await StartServerAsync(container, cancellation);
        }

        foreach (var project in _manifest.Projects)
        {
            _replicas.Add(project, [.. Enumerable.Range(1, replicas).Select(number => NewReplica(project, number, previous))]);
        }

        await Task.WhenAll(All.Select(replica => replica.StartAsync()));
        await WhenReadyAsync(cancellation);
    }

    public static Manifest ReadManifest() => Manifest.Read(Path.Combine(Checkout.Root, "infra", "aspire-manifest.json"));

    /// <summary>Every process of ours.</summary>
    public List<Replica> All => [.. _replicas.Values.SelectMany(replicas => replicas)];

    public IReadOnlyList<Replica> ReplicasOf(string module) => _replicas[module];

    public Task WhenReadyAsync(CancellationToken cancellation) => Task.WhenAll(All.Select(replica => replica.WhenReadyAsync(cancellation)));

    /// <summary>A tenant's client of a module, which is sent to its replicas in turn.</summary>
    public Client ClientOf(string module, string tenant, params string[] roles) => new(
        () => ReplicasOf(module),
        Authority.Sign(claims: [("tenant", tenant), ("sub", $"{tenant}-tester"), ("roles", roles)]));

    public string ConnectionStringOf(string database) => Postgres.ConnectionStringFor(database);

    /// <summary>From now on a replica that ends by itself is started again, as an orchestrator does.</summary>
    public void StartAgainWhatEnds() => All.ForEach(replica => replica.StartAgainWhenItEnds());

    /// <summary>Waits until each replica has ended by itself and is ready again.</summary>
    public async Task HaveStartedAgainAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(All.Select(replica => replica.StartedAgain.WaitAsync(TimeSpan.FromMinutes(2), cancellation)));
        await WhenReadyAsync(cancellation);
    }

    /// <summary>What the replicas wrote, to be read after a failure: one file each, in a folder of the test's own.</summary>
    /// <returns>The folder, from the repository's root.</returns>
    public async Task<string> KeepOutputAsync()
    {
        var folder = Directory.CreateDirectory(Path.Combine(Checkout.Root, "artifacts", "distributed", TestContext.Current.TestMethod?.MethodName ?? ""));
        foreach (var replica in All)
        {
            await File.WriteAllTextAsync(Path.Combine(folder.FullName, $"{replica.Name}.log"), replica.Output, CancellationToken.None);
        }

        return Path.GetRelativePath(Checkout.Root, folder.FullName);
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(All.Select(replica => replica.DisposeAsync().AsTask()));
        _started.Reverse();
        foreach (var started in _started)
        {
            await started.DisposeAsync();
        }

        Outside.Dispose();
    }

    private async Task StartSurroundingsAsync(CancellationToken cancellation)
    {
        Authority = Started(await Authority.StartAsync(cancellation));
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddNeighbours();
        var neighbours = Started(builder.Build());
        neighbours.MapNeighbours();
        await neighbours.StartAsync(cancellation);
        Outside.BaseAddress = new Uri(neighbours.Urls.Single());
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        _parameters["authority"] = Authority.Issuer;
        foreach (var name in NeighboursExtensions.Names)
        {
            _parameters[$"{name}-url"] = $"{Outside.BaseAddress}{name}/";
            _parameters[$"{name}-token"] = $"token-for-{name}";
        }

        _parameters["audience"] = "wave16";
        _parameters["tenant-claim"] = "tenant";
        foreach (var project in _manifest.Projects)
        {
            _parameters[$"{project}-audit-key"] = key.ExportPkcs8PrivateKeyPem();
            _parameters[$"{project}-secret-key"] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));
            _parameters[$"{project}-ticket-webhook-secret"] = $"whsec_{Convert.ToBase64String(RandomNumberGenerator.GetBytes(32))}";
        }
    }

    private async Task StartServerAsync(string container, CancellationToken cancellation)
    {
        var environment = _manifest.Environment(container, new Values(this, container, []));
        switch (_manifest.Image(container))
        {
            case var image when image.Contains("/postgres:", StringComparison.Ordinal):
                Postgres = Started(await PostgresServer.StartAsync(new LocalPostgresOptions { Durable = false }, NullLogger.Instance, cancellation));
                _ports[container] = new NpgsqlConnectionStringBuilder(Postgres.ConnectionString).Port;
                await CreateOwnerAsync(environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"], cancellation);
                break;
            case var image when image.Contains("/redis:", StringComparison.Ordinal):
                Redis = Started(await RedisServer.StartAsync(environment["REDIS_PASSWORD"], cancellation));
                _ports[container] = Redis.Port;
                break;
            case var image when image.Contains("/rabbitmq:", StringComparison.Ordinal):
                Broker = Started(await RabbitMqServer.StartAsync(Definitions(environment["RABBITMQ_DEFAULT_USER"], environment["RABBITMQ_DEFAULT_PASS"]), cancellation));
                _ports[container] = Broker.Port;
                BrokerConnection = _manifest.Resolve($"{{{container}.connectionString}}", new Values(this, "the tests", []));
                break;
            default:
                throw new InvalidOperationException($"There is no local server for {container}.");
        }
    }

    /// <summary>What infra provisions, a subscription of the tests' own, and the user that the container would make.</summary>
    private static string Definitions(string user, string password)
    {
        var file = Path.Combine(Checkout.Root, "infra", "broker", "rabbitmq", "definitions.json");
        var definitions = JsonNode.Parse(File.ReadAllText(file))?.AsObject() ?? throw new InvalidOperationException($"{file} is empty.");
        var watched = JsonNode.Parse(Watch.Topology.ToRabbitMqDefinitions("/"))?.AsObject() ?? [];
        foreach (var kind in (string[])["queues", "bindings", "exchanges"])
        {
            var known = definitions[kind]?.AsArray() ?? [];
            foreach (var one in watched[kind]?.AsArray().ToList() ?? [])
            {
                if (!known.Any(other => JsonNode.DeepEquals(other, one)))
                {
                    known.Add(one?.DeepClone());
                }
            }
        }

        definitions["users"] = new JsonArray(new JsonObject { ["name"] = user, ["password"] = password, ["tags"] = "" });
        definitions["permissions"] = new JsonArray(new JsonObject { ["user"] = user, ["vhost"] = "/", ["configure"] = "^$", ["write"] = ".*", ["read"] = ".*" });
        return definitions.ToJsonString();
    }

    private async Task CreateOwnerAsync(string user, string password, CancellationToken cancellation)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(Postgres.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellation);
        await using var create = new NpgsqlCommand($"create role \"{user}\" superuser login password '{password.Replace("'", "''", StringComparison.Ordinal)}'", connection);
        await create.ExecuteNonQueryAsync(cancellation);
    }

    private Replica NewReplica(string project, int number, PreviousRelease? previous)
    {
        var values = new Values(this, project, []);
        var environment = _manifest.Environment(project, values);
        var file = _manifest.ProjectFile(project);
        return new Replica($"{project} {number}", previous?.ProgramOf(file), ProgramOf(file), environment, new Uri($"http://127.0.0.1:{environment["HTTP_PORTS"]}"));
    }

    // What was built with the tests, in the same configuration.
    private static string ProgramOf(string projectFile)
    {
        var built = new DirectoryInfo(AppContext.BaseDirectory); // …/bin/<configuration>/<framework>/
        return Path.Combine(Path.GetDirectoryName(projectFile) ?? "", "bin", built.Parent?.Name ?? "", built.Name, Path.ChangeExtension(Path.GetFileName(projectFile), ".dll"));
    }

    private T Started<T>(T server)
        where T : IAsyncDisposable
    {
        _started.Add(server);
        return server;
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>The values of one process: its own ports are its own, and everybody else's are the servers'.</summary>
    private sealed class Values(Composition composition, string self, Dictionary<string, int> ports) : IManifestValues
    {
        public string Parameter(string name)
        {
            if (!composition._parameters.TryGetValue(name, out var value))
            {
                // A generated password, with what has a meaning in URIs and connection strings.
                value = name.EndsWith("-password", StringComparison.Ordinal)
                    ? $"~{Convert.ToHexString(RandomNumberGenerator.GetBytes(12))}@:/%1"
                    : throw new InvalidOperationException($"The deployment has no value for the parameter {name}.");
                composition._parameters.Add(name, value);
            }

            return value;
        }

        public string Binding(string resource, string binding, string property) => (property, resource == self) switch
        {
            ("host", _) => "127.0.0.1",
            ("port", false) => Text(composition._ports[resource]),
            ("targetPort", true) => Text(OwnPort(binding)),
            ("url", true) => $"http://127.0.0.1:{Text(OwnPort(binding))}",
            _ => throw new InvalidOperationException($"{self} asks for {property} of {resource}'s {binding}."),
        };

        private int OwnPort(string binding)
        {
            if (!ports.TryGetValue(binding, out var port))
            {
                ports.Add(binding, port = FreePort());
            }

            return port;
        }

        private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }
}
