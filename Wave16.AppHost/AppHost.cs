// Wave 16 as one distributed application: run here (Docker or Podman), published as a manifest, deployed by azd.
// What the modules stand on is in Backing.cs, or in Backing.Containers.cs where the feeds do not carry the Azure packages.
using Wave16.AppHost;

var builder = DistributedApplication.CreateBuilder(args);
var backing = Backing.AddTo(builder);
var neighbours = Neighbours.AddTo(builder);

// vuln-center: scanner reports go in, tracked and de-duplicated findings come out.
var vulnCenterDb = backing.AddDatabase("vuln-center-db", "vuln_center");
var vulnCenterCluster = builder.AddOrleans("vuln-center-cluster")
    .WithServiceId("vuln-center")
    .WithClusterId("vuln-center")
    .WithClustering(new RedisMembership(backing.Redis));
backing.AddTopic("vuln-center");
var vulnCenter = builder.AddProject<Projects.Wave16_VulnCenter>("vuln-center", launchProfileName: null)
    .WithHttp()
    .WithExternalHttpEndpoints()
    .WithReplicas(2)
    .WithReference(vulnCenterDb).WaitFor(vulnCenterDb)
    .WithReference(vulnCenterCluster).WaitFor(backing.Redis)
    .WithReference(backing.Messaging).WaitFor(backing.Messaging)
    .WithAuthority()
    .WithKey("Audit__SigningKey", "vuln-center-audit-key")
    .WithKey("VulnCenter__SecretKey", "vuln-center-secret-key")
    .WithKey("VulnCenter__TicketWebhookSecret", "vuln-center-ticket-webhook-secret")
    .WithNeighbours(neighbours, "safety-console", "integration-hub", "program-graph", "control-plane", "audit-trail")
    .DeployedOn(backing, maxReplicas: 10);
// Its own address, for links in gates and tickets.
vulnCenter.WithEnvironment("VulnCenter__PublicUrl", vulnCenter.GetEndpoint("http"));

builder.Build().Run();
