using System.Reflection;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Neighbours;
using Wave16.Platform.Retention;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Artifacts;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Feeds;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Gates;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Policies;
using Wave16.VulnCenter.Reporting;
using Wave16.VulnCenter.Ssvc;
using Wave16.VulnCenter.Summary;
using Wave16.VulnCenter.Tickets;

namespace Wave16.VulnCenter;

/// <summary>Intake, triage and remediation of security findings.</summary>
public sealed class VulnCenterModule : IModule
{
    internal const string ModuleName = "vuln-center";

    /// <summary>What a page that shows the backlog summary within itself must allow in its <c>style-src</c>.</summary>
    public static string SummaryStyle => SummaryPage.StyleHash;

    public string Name => ModuleName;

    public string Title => "Vulnerability intake, triage and remediation";

    public Assembly Migrations => typeof(VulnCenterModule).Assembly;

    public void AddServices(ModuleBuilder module)
    {
        var services = module.Services;
        services.AddProblemCodes([.. FindingProblems.All, .. ArtifactProblems.All, .. TicketProblems.All]);
        services.AddScopes(VulnCenterScopes.All);
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, VulnCenterJson.Default));
        services.AddOptions<ImportOptions>().BindConfiguration("VulnCenter").ValidateDataAnnotations().ValidateOnStart();
        services.AddMetrics();
        services.AddSingleton<VulnCenterMetrics>();
        services.AddSingleton<FindingStore>();
        services.AddSingleton<FindingQueries>();
        services.AddSingleton(new PageEffort());
        services.AddSingleton<FindingPages>();
        services.AddSingleton<FindingFacets>();
        services.AddSingleton<SummaryQueries>();
        services.AddOptions<BacklogOptions>().BindConfiguration("VulnCenter:Backlog").ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<BacklogQueries>();
        services.AddHostedService<BacklogRefresh>();
        services.AddSingleton<PolicyStore>();
        services.AddSingleton<Resettlement>();
        services.AddSingleton<Recomputations>();
        services.AddSingleton<ScanQueries>();
        services.AddSingleton<ImportStaging>();
        services.AddSingleton<ImportMerge>();
        services.AddSingleton<ReportReading>();
        services.AddSingleton<ServiceTurns>();
        services.AddSingleton<SettlingLock>();
        services.AddSingleton<ImportIntake>();
        services.AddSingleton<SecretKeys>();
        services.AddSingleton<Progress>();
        services.AddSingleton<RuleSets>();
        services.AddSingleton<RuleChanges>();
        services.AddSingleton<Trials>();
        services.AddSingleton<FindingKeys>();
        services.AddSingleton<Unmerging>();
        services.AddSingleton<DedupQueries>();
        module.AddJobHandler<ImportJob, ImportArguments>(ImportJob.KindName, VulnCenterJson.Default.ImportArguments);
        module.AddJobHandler<TrialJob, TrialArguments>(TrialJob.KindName, VulnCenterJson.Default.TrialArguments);
        module.AddJobHandler<RekeyJob, RekeyArguments>(RekeyJob.KindName, VulnCenterJson.Default.RekeyArguments);
        services.AddOptions<FeedOptions>().BindConfiguration("VulnCenter").ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<AliasClusters>();
        services.AddSingleton<ScanFeeds>();
        services.AddSingleton<FeedIntake>();
        services.AddSingleton<FeedQueries>();
        services.AddSingleton<GroupActs>();
        services.AddSingleton<GroupQueries>();
        module.AddJobHandler<FeedJob, FeedArguments>(FeedJob.KindName, VulnCenterJson.Default.FeedArguments);
        module.AddJobHandler<RecomputeJob, RecomputeArguments>(RecomputeJob.KindName, VulnCenterJson.Default.RecomputeArguments);
        module.AddDueHandler<FindingClock>(FindingClock.Kind);
        module.AddRetention("decision", "at", "Decisions", days: 400, PartitionSpan.Month);
        module.AddNeighbour<SafetyConsole>(SafetyConsole.Name);
        module.AddDestination<SafetyConsoleGates>();
        module.Route(VulnCenterEvents.GateRaised, SafetyConsole.Name, BusDestination.BusName);
        module.Route(VulnCenterEvents.GateWithdrawn, SafetyConsole.Name, BusDestination.BusName);
        module.Route(VulnCenterEvents.SlaBreached, BusDestination.BusName);
        AddArtifacts(services);
        AddReports(module);
        AddTickets(module);
    }

    public void MapEndpoints(IEndpointRouteBuilder app)
    {
        app.MapFindings();
        app.MapSummary();
        app.MapPolicies();
        app.MapImports();
        app.MapScans();
        app.MapDedup();
        app.MapCvss();
        app.MapSsvc();
        app.MapFeeds();
        app.MapGroups();
        app.MapArtifacts();
        app.MapReports();
        app.MapTickets();
    }

    private static void AddArtifacts(IServiceCollection services)
    {
        services.AddOptions<ArtifactOptions>().BindConfiguration("VulnCenter").ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<ArtifactUpload>();
        services.AddSingleton<ArtifactStore>();
        services.AddSingleton<ArtifactRemoval>();
    }

    private static void AddReports(ModuleBuilder module)
    {
        module.Services.AddSingleton<ReportSnapshots>();
        module.Services.AddSingleton<ReportsBeingWritten>();
        module.Services.AddSingleton<FindingGraphReport>();
        module.Services.AddSingleton<GateReport>();
        module.Services.AddSingleton<PostureReport>();
        module.AddNeighbour<ControlPlane>(ControlPlane.Name);
        module.AddNeighbour<ProgramGraphs>(ProgramGraphs.Name);
        module.AddDestination<ControlPlaneExports>();
        module.AddDestination<ProgramGraphExports>();
        foreach (var told in (string[])
        [
            VulnCenterEvents.ScanImported, VulnCenterEvents.StatusChanged, VulnCenterEvents.SeverityChanged, VulnCenterEvents.SuppressionChanged, VulnCenterEvents.SlaBreached,
        ])
        {
            module.Route(told, ControlPlane.Name, ProgramGraphs.Name);
        }

        module.Route(StateRestated.EventType, ControlPlane.Name, ProgramGraphs.Name, SafetyConsole.Name);
        module.Services.AddHostedService<Restatement>();
    }

    private static void AddTickets(ModuleBuilder module)
    {
        module.Services.AddOptions<TicketOptions>().BindConfiguration("VulnCenter").ValidateDataAnnotations().ValidateOnStart();
        module.Services.AddSingleton<TicketStore>();
        module.Services.AddSingleton<TicketDesk>();
        module.AddNeighbour<IntegrationHub>(IntegrationHub.Name);
        module.AddDestination<TicketDesk>();
        module.AddDueHandler<TicketPoll>(TicketPoll.Kind);
        module.Route(VulnCenterEvents.TicketRequested, IntegrationHub.Name);
    }
}

internal static class VulnCenterScopes
{
    public const string Read = "findings.read";
    public const string Import = "findings.import";
    public const string Change = "findings.change";
    public const string Rules = "findings.rules";
    public const string Suppress = "findings.suppress";
    public const string Policies = "findings.policies";
    public const string TicketStates = "findings.ticket-states";
    public const string Feeds = "findings.feeds";

    public static readonly Scope[] All =
    [
        new(Read, VulnCenterModule.ModuleName, "read findings, observations, decisions and scans", Access.Reader, Access.Operator, Access.Auditor, Access.Approver, Access.Service),
        new(Import, VulnCenterModule.ModuleName, "submit findings and import reports", Access.Operator, Access.Service),
        new(Change, VulnCenterModule.ModuleName, "move findings through their life and split them", Access.Operator),
        new(Feeds, VulnCenterModule.ModuleName, "replace the EPSS, KEV and alias feeds", Access.Operator, Access.Service),
        new(Suppress, VulnCenterModule.ModuleName, "set findings aside until a date, and end that", Access.Operator, Access.Approver),
        new(Policies, VulnCenterModule.ModuleName, "change policies and what is known of services", Access.Operator),
        new(Rules, VulnCenterModule.ModuleName, "change how findings are recognised", Access.Operator),
        new(TicketStates, VulnCenterModule.ModuleName, "say which state a finding's ticket is in, with a signed webhook", Access.Service),
    ];
}
