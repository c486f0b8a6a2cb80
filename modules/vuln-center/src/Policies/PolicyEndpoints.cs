using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.HttpResults;
using Wave16.Platform.Http;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Policies;

internal static class PolicyEndpoints
{
    public static void MapPolicies(this IEndpointRouteBuilder app)
    {
        var policies = app.MapGroup("/findings/policies").WithTags("Policies");
        policies.MapGet("/sla", (Caller caller, PolicyStore store, CancellationToken cancellation) =>
            GetAsync(caller, PolicyStore.SlaKind, BuiltInPolicies.Initial, VulnCenterJson.Default.SlaPolicies, store, cancellation))
            .RequireScope(VulnCenterScopes.Read).WithName("GetSlaPolicies").WithSummary("How long findings may stay");
        policies.MapPut("/sla", (SlaPolicies policy, IfMatch ifMatch, CommandId command, Caller caller, PolicyStore store, Recomputations recomputations, TimeProvider clock, CancellationToken cancellation) =>
            PutAsync(new Given<SlaPolicies>(PolicyStore.SlaKind, "SLA policy", policy, VulnCenterJson.Default.SlaPolicies), PolicyChecks.Check(policy), ifMatch, command, caller, store, recomputations, clock, cancellation))
            .RequireScope(VulnCenterScopes.Policies).WithName("PutSlaPolicies").WithSummary("Change how long findings may stay")
            .WithDescription("Deadlines are computed anew from when their clocks were started. Needs If-Match; version 0 is the built-in policy.");
        policies.MapGet("/sla/built-in", () => TypedResults.Ok(BuiltInPolicies.All))
            .RequireScope(VulnCenterScopes.Read).WithName("ListBuiltInSlaPolicies").WithSummary("The SLA policies that exist without being defined");
        policies.MapGet("/gate", (Caller caller, PolicyStore store, CancellationToken cancellation) =>
            GetAsync(caller, PolicyStore.GateKind, GatePolicy.Default, VulnCenterJson.Default.GatePolicy, store, cancellation))
            .RequireScope(VulnCenterScopes.Read).WithName("GetGatePolicy").WithSummary("What stands at the safety gate besides critical findings");
        policies.MapPut("/gate", (GatePolicy policy, IfMatch ifMatch, CommandId command, Caller caller, PolicyStore store, Recomputations recomputations, TimeProvider clock, CancellationToken cancellation) =>
            PutAsync(new Given<GatePolicy>(PolicyStore.GateKind, "gate policy", policy, VulnCenterJson.Default.GatePolicy), PolicyChecks.Check(policy), ifMatch, command, caller, store, recomputations, clock, cancellation))
            .RequireScope(VulnCenterScopes.Policies).WithName("PutGatePolicy").WithSummary("Change what stands at the safety gate besides critical findings")
            .WithDescription("Critical findings always do. Needs If-Match; version 0 is the built-in policy.");

        var services = app.MapGroup("/findings/services").WithTags("Policies");
        services.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read).WithName("ListServices").WithSummary("Services with a profile, by name");
        services.MapGet("/{service}", GetServiceAsync).RequireScope(VulnCenterScopes.Read).WithName("GetService").WithSummary("What is known of a service");
        services.MapPut("/{service}", PutServiceAsync).RequireScope(VulnCenterScopes.Policies).WithName("PutService").WithSummary("Say what is known of a service")
            .WithDescription("Its findings are judged anew. Needs If-Match: \"0\" or * where there is no profile yet.");

        app.MapGroup("/findings").WithTags("Policies").MapGet("/recomputations/{id:guid}", RecomputationAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetRecomputation").WithSummary("How far findings have been judged anew after a change");
    }

    private static async Task<ETagResult<PolicyView<T>>> GetAsync<T>(
        Caller caller, string kind, T builtIn, JsonTypeInfo<T> type, PolicyStore store, CancellationToken cancellation)
        where T : class
    {
        var stored = await store.FindAsync(caller.Tenant, kind, type, cancellation);
        return ETagResult.Ok(new PolicyView<T>(stored?.Version ?? 0, stored?.Policy ?? builtIn, stored?.At, stored?.Actor, Recomputation: null), stored?.Version ?? 0);
    }

    private sealed record Given<T>(string Kind, string Name, T Policy, JsonTypeInfo<T> Type);

    private static async Task<Results<ETagResult<PolicyView<T>>, RefusalResult>> PutAsync<T>(
        Given<T> given, Refusal? invalid, IfMatch ifMatch, CommandId command, Caller caller, PolicyStore store, Recomputations recomputations, TimeProvider clock, CancellationToken cancellation)
        where T : class
    {
        if (invalid is not null)
        {
            return invalid.ToResult();
        }

        var before = await store.FindAsync(caller.Tenant, given.Kind, given.Type, cancellation);
        var version = before?.Version ?? 0;
        if (ifMatch.Check(version) is { } stale)
        {
            return stale.ToResult();
        }

        var now = clock.GetUtcNow();
        var job = Recomputations.JobOf(caller.Tenant, command.Value, caller.Subject, $"{given.Name} {version + 1}", service: null);
        if (await store.SaveAsync(caller.Tenant, given.Kind, before, given.Policy, given.Type, caller.Subject, command.Value, now, job, cancellation) is SaveOutcome.Stale)
        {
            return Moved(given.Name);
        }

        var recomputation = await recomputations.FindAsync(caller.Tenant, job.Id, cancellation);
        return ETagResult.Ok(new PolicyView<T>(version + 1, given.Policy, now, caller.Subject, recomputation), version + 1);
    }

    private static async Task<Ok<Page<ServiceView>>> ListAsync(PageRequest page, Caller caller, PolicyStore store, CancellationToken cancellation)
    {
        if (page.ReadCursor<ServicePosition>(out var after) is { } badCursor)
        {
            throw new RefusedException(badCursor);
        }

        var rows = await store.ListServicesAsync(caller.Tenant, after?.Service, page.Limit + 1, cancellation);
        return TypedResults.Ok(page.ToPage<ServiceView, ServicePosition>(
            [.. rows.Select(row => new ServiceView(row.Service, row.Stored.Version, row.Stored.Profile, Recomputation: null))], last => new ServicePosition(last.Service)));
    }

    private static async Task<Results<ETagResult<ServiceView>, RefusalResult>> GetServiceAsync(string service, Caller caller, PolicyStore store, CancellationToken cancellation)
    {
        service = Names.InPath(service);
        return await store.FindServiceAsync(caller.Tenant, service, cancellation) is { } stored
            ? ETagResult.Ok(new ServiceView(service, stored.Version, stored.Profile, Recomputation: null), stored.Version)
            : new Refusal(ProblemCodes.NotFound.Code, $"Nothing is known of a service {service}.").ToResult();
    }

    private static async Task<Results<ETagResult<ServiceView>, RefusalResult>> PutServiceAsync(
        string service, ServiceProfile profile, IfMatch ifMatch, CommandId command, Caller caller, PolicyStore store, Recomputations recomputations, TimeProvider clock,
        CancellationToken cancellation)
    {
        service = Names.InPath(service);
        if (PolicyChecks.Check(service, profile) is { } invalid)
        {
            return invalid.ToResult();
        }

        var before = await store.FindServiceAsync(caller.Tenant, service, cancellation);
        var version = before?.Version ?? 0;
        if (ifMatch.Check(version) is { } stale)
        {
            return stale.ToResult();
        }

        var job = Recomputations.JobOf(caller.Tenant, command.Value, caller.Subject, $"profile {version + 1} of {service}", service);
        if (await store.SaveServiceAsync(caller.Tenant, service, before, profile, caller.Subject, command.Value, clock.GetUtcNow(), job, cancellation) is SaveOutcome.Stale)
        {
            return Moved("profile");
        }

        var recomputation = await recomputations.FindAsync(caller.Tenant, job.Id, cancellation);
        return ETagResult.Ok(new ServiceView(service, version + 1, profile, recomputation), version + 1);
    }

    private static async Task<Results<Ok<Recomputation>, RefusalResult>> RecomputationAsync(Guid id, Caller caller, Recomputations recomputations, CancellationToken cancellation) =>
        await recomputations.FindAsync(caller.Tenant, id, cancellation) is { } recomputation
            ? TypedResults.Ok(recomputation)
            : new Refusal(ProblemCodes.NotFound.Code, $"There is no recomputation {id}.").ToResult();

    private static RefusalResult Moved(string what) => new Refusal(ProblemCodes.PreconditionFailed.Code, $"The {what} has been changed meanwhile; read it again.").ToResult();

    private sealed record ServicePosition(string Service);
}

/// <summary>What a policy and a profile must look like.</summary>
internal static class PolicyChecks
{
    private const int MaxPolicies = 50;
    private const int MaxRules = 100;
    private const double MaxDays = 36_500;

    public static Refusal? Check(SlaPolicies policies)
    {
        List<FieldError> errors = [];
        var own = policies.Policies ?? [];
        if (own.Count > MaxPolicies)
        {
            errors.Add(new FieldError("/policies", $"must be at most {MaxPolicies}"));
        }

        foreach (var (i, policy) in own.Take(MaxPolicies).Index())
        {
            var at = $"/policies/{i}";
            if (policy?.Name is null || !ImportEndpoints.IsName(policy.Name))
            {
                errors.Add(new FieldError($"{at}/name", "must be 1 to 200 characters, without control characters"));
                continue;
            }

            if (BuiltInPolicies.All.Any(known => known.Name == policy.Name) || own.Take(i).Any(other => other?.Name == policy.Name))
            {
                errors.Add(new FieldError($"{at}/name", "is taken; every policy has a name of its own, and the built-in ones stay as they are"));
            }

            if (policy.Rules is not { Count: > 0 and <= MaxRules })
            {
                errors.Add(new FieldError($"{at}/rules", $"must be 1 to {MaxRules} rules"));
                continue;
            }

            if (policy.WarnAfter is not (> 0 and <= 1))
            {
                errors.Add(new FieldError($"{at}/warnAfter", "must be more than 0 and at most 1"));
            }

            foreach (var (j, rule) in policy.Rules.Index())
            {
                if (rule?.Days is not (> 0 and <= MaxDays))
                {
                    errors.Add(new FieldError($"{at}/rules/{j}/days", $"must be more than 0 and at most {MaxDays}"));
                }
            }
        }

        var known = own.Select(policy => policy?.Name).Concat(BuiltInPolicies.All.Select(policy => policy.Name)).ToHashSet(StringComparer.Ordinal);
        if (policies.Default is { } name && !known.Contains(name))
        {
            errors.Add(new FieldError("/default", "is not the name of a policy"));
        }

        foreach (var (tier, policy) in policies.Tiers ?? new Dictionary<string, string>())
        {
            if (!known.Contains(policy))
            {
                errors.Add(new FieldError($"/tiers/{Token(tier)}", "is not the name of a policy"));
            }
        }

        return Refuse("policies are", errors);
    }

    public static Refusal? Check(GatePolicy policy)
    {
        List<FieldError> errors = [];
        if (policy.Epss is { } epss && epss is not (>= 0 and <= 1))
        {
            errors.Add(new FieldError("/epss", "must be a probability, 0 to 1"));
        }

        return Refuse("policy is", errors);
    }

    public static Refusal? Check(string service, ServiceProfile profile)
    {
        List<FieldError> errors = [];
        if (!ImportEndpoints.IsName(service))
        {
            errors.Add(new FieldError("service", Names.Must));
        }

        foreach (var (name, value) in new[] { ("tier", profile.Tier), ("owner", profile.Owner) })
        {
            if (value is not null && !ImportEndpoints.IsName(value))
            {
                errors.Add(new FieldError($"/{name}", "must be 1 to 200 characters, without control characters"));
            }
        }

        if (profile.Repository is { } repository && !(ImportEndpoints.IsName(repository) && Uri.TryCreate(repository, UriKind.Absolute, out var address) && address.Scheme is "https" or "http" or "ssh" or "git"))
        {
            errors.Add(new FieldError("/repository", "must be an absolute https, http, ssh or git address of at most 200 characters"));
        }

        if (profile.CvssEnvironment is { } metrics && CvssEnvironment.Read(metrics, out var fault) is null && fault is not null)
        {
            errors.Add(new FieldError(
                $"/cvssEnvironment/{Token(fault.Version)}", string.Create(CultureInfo.InvariantCulture, $"{fault.Reason} (at character {fault.Position})")));
        }

        return Refuse("profile is", errors);
    }

    // RFC 6901 section 3.
    private static string Token(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private static Refusal? Refuse(string what, List<FieldError> errors) => errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, $"The {what} not valid.", errors);
}
