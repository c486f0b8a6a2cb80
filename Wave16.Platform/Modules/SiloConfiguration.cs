using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Configuration;
using Orleans.Configuration;

namespace Wave16.Platform.Modules;

internal static class SiloConfiguration
{
    /// <summary>
    /// Without <c>Orleans:Clustering</c> (Standalone, a module started by hand, tests) a cluster of this one silo on two free
    /// loopback ports; with it, what the composition injects, which Orleans reads by itself. Each service is a cluster of its
    /// own, also where only the provider was configured.
    /// </summary>
    public static ISiloBuilder UseModuleClustering(this ISiloBuilder silo, IConfiguration configuration, string service)
    {
        if (string.IsNullOrEmpty(configuration["Orleans:Clustering:ProviderType"]))
        {
            var (siloPort, gatewayPort) = FreePorts();
            silo.UseLocalhostClustering(siloPort, gatewayPort);
        }

        silo.Configure<ClusterOptions>(cluster =>
        {
            cluster.ServiceId = configuration["Orleans:ServiceId"] ?? service;
            cluster.ClusterId = configuration["Orleans:ClusterId"] ?? service;
        });

        // A dead silo is out within 15 s: 3 probes missed, one every 4 s, by 2 votes (1 where only one is left to vote). One that
        // was killed with its process refuses connections, and is out sooner.
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = TimeSpan.FromSeconds(4);
            membership.NumMissedProbesLimit = 3;
            membership.NumVotesForDeathDeclaration = 2;
            membership.DefunctSiloExpiration = TimeSpan.FromHours(1);
        });
        silo.Configure<SiloMessagingOptions>(messaging => messaging.ResponseTimeout = TimeSpan.FromSeconds(15));
        silo.Configure<GrainCollectionOptions>(collection =>
        {
            collection.CollectionAge = TimeSpan.FromMinutes(10);
            collection.EnableActivationSheddingOnMemoryPressure = true;
        });
        return silo;
    }

    private static (int Silo, int Gateway) FreePorts()
    {
        using var first = Listen();
        using var second = Listen();
        return (((IPEndPoint)first.LocalEndpoint).Port, ((IPEndPoint)second.LocalEndpoint).Port);

        static TcpListener Listen()
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            return listener;
        }
    }
}
