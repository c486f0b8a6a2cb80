using Microsoft.Extensions.Configuration;

namespace Wave16.AppHost;

/// <summary>
/// What the modules stand on when the feeds carry Aspire but not its Azure packages: plain containers, compiled in place of
/// Backing.cs. A server named in the AppHost's configuration (<c>ConnectionStrings:postgres</c>, <c>:redis</c>,
/// <c>:messaging</c>) is used as it is instead of a container.
/// </summary>
internal sealed class Backing
{
    private readonly Func<string, string, IResourceBuilder<IResourceWithConnectionString>> _addDatabase;

    private Backing(IDistributedApplicationBuilder builder)
    {
        if (Given(builder, "postgres") is { } given)
        {
            _addDatabase = (name, databaseName) => builder.AddConnectionString(name, ReferenceExpression.Create($"{given};Database={databaseName}"));
        }
        else
        {
            // The volume outlives a run; so does the password, which the AppHost keeps in its user secrets.
            var server = builder.AddPostgres("postgres").WithDataVolume("wave16-postgres");
            _addDatabase = (name, databaseName) => server.AddDatabase(name, databaseName);
        }

        Redis = Given(builder, "redis") ?? builder.AddRedis("redis");
        Messaging = Given(builder, "messaging") ?? AddBroker(builder);
    }

    /// <summary>Membership of the Orleans clusters, no business state.</summary>
    public IResourceBuilder<IResourceWithConnectionString> Redis { get; }

    /// <summary>The broker, spoken to in AMQP 1.0.</summary>
    public IResourceBuilder<IResourceWithConnectionString> Messaging { get; }

    public static Backing AddTo(IDistributedApplicationBuilder builder) => new(builder);

    /// <param name="name">The connection string's name.</param>
    /// <param name="databaseName">The database's name in PostgreSQL.</param>
    public IResourceBuilder<IResourceWithConnectionString> AddDatabase(string name, string databaseName) => _addDatabase(name, databaseName);

    /// <summary>The topic a module publishes to. What it is made of is in the definitions the broker starts with.</summary>
    public void AddTopic(string module, params Subscription[] subscriptions) =>
        Messaging.WithAnnotation(new Topic(module, subscriptions));

    /// <summary>A container has nothing to say about how a module is deployed.</summary>
    public IResourceBuilder<ProjectResource> Deploy(IResourceBuilder<ProjectResource> module, int maxReplicas) => module;

    private static IResourceBuilder<IResourceWithConnectionString>? Given(IDistributedApplicationBuilder builder, string name) =>
        builder.ExecutionContext.IsRunMode && builder.Configuration.GetConnectionString(name) is not null ? builder.AddConnectionString(name) : null;

    private static IResourceBuilder<RabbitMQServerResource> AddBroker(IDistributedApplicationBuilder builder)
    {
        var broker = builder.AddRabbitMQ("messaging");
        // RabbitMQ would make no user when it loads definitions at its start, so they are imported when it is there.
        if (builder.ExecutionContext.IsRunMode)
        {
            broker.WithBindMount("../infra/broker/rabbitmq/definitions.json", "/etc/rabbitmq/definitions.json", isReadOnly: true)
                .WithEntrypoint("/bin/sh")
                .WithArgs("-c", """
                    (until gosu rabbitmq rabbitmqctl --quiet await_startup; do sleep 1; done
                    gosu rabbitmq rabbitmqctl import_definitions /etc/rabbitmq/definitions.json) &
                    exec docker-entrypoint.sh rabbitmq-server
                    """);
        }

        return broker;
    }
}
