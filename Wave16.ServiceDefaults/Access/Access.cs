using Microsoft.Extensions.DependencyInjection;

namespace Wave16.ServiceDefaults;

/// <summary>One permission: what a token must allow for a group of endpoints.</summary>
/// <param name="Name">RFC 6749 §3.3 scope token, by convention <c>entity.action</c>: <c>findings.read</c>.</param>
/// <param name="Module">Whose it is, kebab-case; <c>platform</c> for all modules.</param>
/// <param name="Description">A phrase: "read findings and their history".</param>
/// <param name="Roles">The roles that hold it, of <see cref="Access.Roles"/>.</param>
public sealed record Scope(string Name, string Module, string Description, params string[] Roles);

/// <param name="Name">As in the claim <c>roles</c>.</param>
/// <param name="Description">Who has it and what for.</param>
public sealed record Role(string Name, string Description);

/// <summary>The roles. Which scopes a role holds is said by each <see cref="Scope"/>.</summary>
public static class Access
{
    public const string Reader = "reader";
    public const string Operator = "operator";
    public const string Auditor = "auditor";
    public const string Approver = "approver";
    public const string PartnerAdmin = "partner-admin";
    public const string Service = "service";
    public const string CrossTenantAdministrator = "cross-tenant-administrator";

    public static IReadOnlyList<Role> Roles { get; } =
    [
        new(Reader, "Reads everything in its tenant that is not audit or personal data."),
        new(Operator, "Does the daily work in its tenant: imports, triage, incidents, drafts."),
        new(Auditor, "Reads the audit logs of its tenant and verifies them; changes nothing."),
        new(Approver, "Gives the second signature where one is required; not the person who asked."),
        new(PartnerAdmin, "Acts for a partner organisation (claim `partner`) within what was delegated to it."),
        new(Service, "Another service of ours, calling with its own identity."),
        new(CrossTenantAdministrator, "Enters a tenant in an emergency. Holds nothing unless the token also carries `break_glass` (the reason, which is audited) and names that tenant."),
    ];

    /// <summary>The platform's own scopes.</summary>
    public static IReadOnlyList<Scope> PlatformScopes { get; } =
    [
        new(Scopes.AuditRead, "platform", "read and verify a module's audit log", Auditor, CrossTenantAdministrator),
        new(Scopes.DeadLettersRead, "platform", "list events that could not be delivered", Operator, CrossTenantAdministrator),
        new(Scopes.DeadLettersReplay, "platform", "deliver a dead letter again", Operator, CrossTenantAdministrator),
        new(Scopes.MetricsRead, "platform", "scrape metrics", Service),
        new(Scopes.DashboardRead, "platform", "see the Orleans dashboard", Operator, CrossTenantAdministrator),
    ];

    public static class Scopes
    {
        public const string AuditRead = "audit.read";
        public const string DeadLettersRead = "dead-letters.read";
        public const string DeadLettersReplay = "dead-letters.replay";
        public const string MetricsRead = "metrics.read";
        public const string DashboardRead = "dashboard.read";
    }

    /// <summary>Declares a module's scopes. An endpoint that requires an undeclared one stops the host at start.</summary>
    public static IServiceCollection AddScopes(this IServiceCollection services, params Scope[] scopes)
    {
        foreach (var scope in scopes)
            services.AddSingleton(scope);
        return services;
    }
}
