using Aspire.Hosting.Azure;
using Azure.Provisioning;
using Azure.Provisioning.AppContainers;
using Azure.Provisioning.ServiceBus;

namespace Wave16.AppHost;

/// <summary>
/// What the modules stand on: containers and emulators when run here, Azure with Entra ID (no passwords) when published.
/// The only file that knows of Azure; the rest of the AppHost sees plain connection strings.
/// </summary>
internal sealed class Backing
{
    private readonly IResourceBuilder<AzurePostgresFlexibleServerResource> _postgres;
    private readonly IResourceBuilder<AzureServiceBusResource> _serviceBus;

    private Backing(IDistributedApplicationBuilder builder)
    {
        builder.AddAzureContainerAppEnvironment("env");
        // The volume outlives a run; so does the password, which the AppHost keeps in its user secrets.
        _postgres = builder.AddAzurePostgresFlexibleServer("postgres").RunAsContainer(container => container.WithDataVolume());
        Redis = builder.AddAzureManagedRedis("redis").RunAsContainer();
        _serviceBus = builder.AddAzureServiceBus("messaging").RunAsEmulator();
    }

    /// <summary>Membership of the Orleans clusters, no business state.</summary>
    public IResourceBuilder<IResourceWithConnectionString> Redis { get; }

    /// <summary>The broker: Service Bus or its emulator, spoken to in AMQP 1.0.</summary>
    public IResourceBuilder<IResourceWithConnectionString> Messaging => _serviceBus;

    public static Backing AddTo(IDistributedApplicationBuilder builder) => new(builder);

    /// <param name="name">The connection string's name.</param>
    /// <param name="databaseName">The database's name in PostgreSQL.</param>
    public IResourceBuilder<IResourceWithConnectionString> AddDatabase(string name, string databaseName) =>
        _postgres.AddDatabase(name, databaseName);

    /// <summary>The topic a module publishes to, with one subscription for each of its consumers.</summary>
    public void AddTopic(string module, params Subscription[] subscriptions)
    {
        _serviceBus.WithAnnotation(new Topic(module, subscriptions));
        var topic = _serviceBus.AddServiceBusTopic($"{module}-events", module);
        foreach (var (name, types) in subscriptions)
        {
            var resource = $"{module}-events-for-{name.Replace('.', '-')}";
            topic.AddServiceBusSubscription(resource, name).WithProperties(subscription =>
            {
                // The longest lock there is, because a handler may wait for what it needs; then the emulator's most deliveries.
                subscription.LockDuration = TimeSpan.FromMinutes(5);
                subscription.MaxDeliveryCount = 10;
                subscription.DeadLetteringOnMessageExpiration = true;
                if (topic.ApplicationBuilder.ExecutionContext.IsRunMode)
                    subscription.Rules.AddRange(types.Index().Select(type => new AzureServiceBusRule($"{name}.{type.Index + 1}") { CorrelationFilter = new() { Subject = type.Item } }));
            });
            _serviceBus.ConfigureInfrastructure(bus => bus.Add(OnlyTypes(
                bus.GetProvisionableResources().OfType<ServiceBusSubscription>().Single(one => one.BicepIdentifier == Infrastructure.NormalizeBicepIdentifier(resource)), types)));
        }
    }

    /// <summary>
    /// The label is the event's type. Azure gives a new subscription a rule that lets everything through, and one beside it takes
    /// nothing away: this one has its name and so its place. A filter is at most 1,024 characters, about twenty types.
    /// </summary>
    private static ServiceBusRule OnlyTypes(ServiceBusSubscription subscription, IEnumerable<string> types) => new($"{subscription.BicepIdentifier}_types")
    {
        Parent = subscription,
        Name = "$Default",
        FilterType = ServiceBusFilterType.SqlFilter,
        SqlFilter = new ServiceBusSqlFilter { SqlExpression = $"sys.Label IN ({string.Join(", ", types.Select(type => $"'{type}'"))})" },
    };

    /// <summary>A module in Container Apps: it may send and receive messages but not change topics, and scales with its requests.</summary>
    public IResourceBuilder<ProjectResource> Deploy(IResourceBuilder<ProjectResource> module, int maxReplicas)
    {
        // The collector of infra/azure. When run here, Aspire's dashboard takes its place.
        if (module.ApplicationBuilder.ExecutionContext.IsPublishMode)
            module.WithEnvironment("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector").WithEnvironment("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        return module
            .WithRoleAssignments(_serviceBus, ServiceBusBuiltInRole.AzureServiceBusDataSender, ServiceBusBuiltInRole.AzureServiceBusDataReceiver)
            .PublishAsAzureContainerApp((_, app) =>
            {
                // The least number is the module's replicas; never zero, because timers must run.
                app.Template.Scale.MaxReplicas = maxReplicas;
                // A host that is told to stop takes up to half of it to finish requests and hand over its grains.
                app.Template.TerminationGracePeriodSeconds = 60;
                app.Template.Scale.Rules.Add(new ContainerAppScaleRule
                {
                    Name = "requests",
                    Http = new ContainerAppHttpScaleRule { Metadata = { ["concurrentRequests"] = "50" } },
                });
            });
    }
}
