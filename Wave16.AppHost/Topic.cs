namespace Wave16.AppHost;

/// <summary>
/// The topic a module publishes to, named like the module. Which backing provisions it is not the module's matter; as an
/// annotation of the broker it can be compared with <c>infra/broker/topology.json</c> in every mode.
/// </summary>
internal sealed record Topic(string Name, IReadOnlyList<Subscription> Subscriptions) : IResourceAnnotation;

/// <param name="Name">The consumer, a dot for its slash: <c>incident-cmd.signals</c>.</param>
/// <param name="Types">The types of events it gets (CloudEvents <c>type</c>), no others.</param>
internal sealed record Subscription(string Name, params string[] Types);
