using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Policies;

/// <summary>Keeps policies and service profiles, every version of the former, and says what holds for a service.</summary>
internal sealed class PolicyStore(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs)
{
    public const string SlaKind = "sla";
    public const string GateKind = "gate";

    private const int PolicyTail = 7;
    private const int ServiceTail = 10;

    private static readonly string SavePolicy = $"""
        with u as (
          insert into vuln_center.policy (tenant, kind, version, body, at, actor, audit_hash)
          select $1, $2, $3 + 1, $4, $5, $6, {SaveTail.AuditHash(PolicyTail)}
          where coalesce((select max(version) from vuln_center.policy where tenant = $1 and kind = $2), 0) = $3 and {SaveTail.NotYetDone(PolicyTail)}
          on conflict do nothing
          returning version
        ){SaveTail.Sql(PolicyTail)}
        """;

    private static readonly string SaveService = $"""
        with u as (
          insert into vuln_center.service as s (tenant, name, version, tier, owner, repository, mission, cvss_environment, audit_hash)
          select $1, $2, $3 + 1, $4, $5, $6, $7, $8, {SaveTail.AuditHash(ServiceTail)}
          where $3 = coalesce((select version from vuln_center.service where tenant = $1 and name = $2), 0) and {SaveTail.NotYetDone(ServiceTail)}
          on conflict (tenant, name) do update
            set version = excluded.version, tier = excluded.tier, owner = excluded.owner, repository = excluded.repository, mission = excluded.mission,
                cvss_environment = excluded.cvss_environment, audit_hash = excluded.audit_hash
            where s.version = $3 and $9::bool
          returning version
        ){SaveTail.Sql(ServiceTail)}
        """;

    /// <summary>SQL for the versions of what holds for a service; $1 is the tenant.</summary>
    public static string Edition(string service) => $"""
        concat_ws('/',
          coalesce((select max(version) from vuln_center.policy where tenant = $1 and kind = 'sla'), 0),
          coalesce((select max(version) from vuln_center.policy where tenant = $1 and kind = 'gate'), 0),
          coalesce((select version from vuln_center.service where tenant = $1 and name = {service}), 0))
        """;

    /// <summary>What holds for the findings of a service, as committed now.</summary>
    public async Task<FindingPolicies> ForAsync(string tenant, string service, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return (await ForAsync(connection, tenant, [service], cancellation))[service];
    }

    /// <summary>The same, for several services, inside the caller's transaction.</summary>
    public static async Task<IReadOnlyDictionary<string, FindingPolicies>> ForAsync(
        NpgsqlConnection connection, string tenant, IReadOnlyCollection<string> services, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"""
            select n.name, s.tier, s.mission, s.cvss_environment,
                   (select body from vuln_center.policy where tenant = $1 and kind = 'sla' order by version desc limit 1),
                   (select body from vuln_center.policy where tenant = $1 and kind = 'gate' order by version desc limit 1),
                   {Edition("n.name")}
            from unnest($2::text[]) as n(name) left join vuln_center.service s on s.tenant = $1 and s.name = n.name
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. services] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        Dictionary<string, FindingPolicies> policies = new(StringComparer.Ordinal);
        var (sla, gate) = ((SlaPolicies?)null, (GatePolicy?)null);
        while (await reader.ReadAsync(cancellation))
        {
            sla ??= Read(reader, 4, VulnCenterJson.Default.SlaPolicies) ?? BuiltInPolicies.Initial;
            gate ??= Read(reader, 5, VulnCenterJson.Default.GatePolicy) ?? GatePolicy.Default;
            policies[reader.GetString(0)] = new FindingPolicies(
                sla.For(reader.Text(1)), gate, reader.IsDBNull(2) ? null : (MissionImpact)reader.GetInt16(2),
                CvssEnvironments.Read(reader.Text(3)) is { } metrics ? CvssEnvironment.Read(metrics, out _) : null, reader.GetString(6));
        }

        return policies;
    }

    /// <summary>The latest version; null when the tenant never said anything.</summary>
    public async Task<StoredPolicy<T>?> FindAsync<T>(string tenant, string kind, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class
    {
        await using var command = database.DataSource.CreateCommand(
            "select version, body, at, actor, audit_hash from vuln_center.policy where tenant = $1 and kind = $2 order by version desc limit 1");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = kind });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) && Read(reader, 1, type) is { } policy
            ? new StoredPolicy<T>(reader.GetInt64(0), policy, reader.GetFieldValue<DateTimeOffset>(2), reader.GetString(3), reader.GetFieldValue<byte[]>(4))
            : null;
    }

    /// <param name="before">What the caller saw; null when there was nothing.</param>
    /// <param name="recomputation">Starts with the save, or not at all.</param>
    public async Task<SaveOutcome> SaveAsync<T>(
        string tenant, string kind, StoredPolicy<T>? before, T policy, JsonTypeInfo<T> type, string actor, string commandId, DateTimeOffset now, NewJob recomputation,
        CancellationToken cancellation)
        where T : class
    {
        var version = before?.Version ?? 0;
        var change = new EntityChange
        {
            Tenant = tenant,
            Kind = "policy",
            Id = kind,
            Version = version + 1,
            At = now,
            Actor = actor,
            Action = $"policy.{kind}-changed",
            Details = JsonSerializer.SerializeToElement(policy, type),
            PreviousAuditHash = before?.AuditHash,
            CommandId = commandId,
        };
        using var command = new NpgsqlCommand(SavePolicy);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(new NpgsqlParameter<string> { TypedValue = kind });
        p.Add(new NpgsqlParameter<long> { TypedValue = version });
        p.Add(new NpgsqlParameter { Value = JsonSerializer.Serialize(policy, type), NpgsqlDbType = NpgsqlDbType.Jsonb });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() });
        p.Add(new NpgsqlParameter<string> { TypedValue = actor });
        return await SaveAsync(command, change, recomputation, cancellation);
    }

    public async Task<StoredService?> FindServiceAsync(string tenant, string service, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select version, tier, owner, repository, mission, cvss_environment, audit_hash from vuln_center.service where tenant = $1 and name = $2
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = service });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return !await reader.ReadAsync(cancellation)
            ? null
            : new StoredService(
                reader.GetInt64(0),
                new ServiceProfile(
                    reader.Text(1), reader.Text(2), reader.Text(3), reader.IsDBNull(4) ? null : (MissionImpact)reader.GetInt16(4), CvssEnvironments.Read(reader.Text(5))),
                reader.GetFieldValue<byte[]>(6));
    }

    public async Task<SaveOutcome> SaveServiceAsync(
        string tenant, string service, StoredService? before, ServiceProfile profile, string actor, string commandId, DateTimeOffset now, NewJob recomputation,
        CancellationToken cancellation)
    {
        var version = before?.Version ?? 0;
        var change = new EntityChange
        {
            Tenant = tenant,
            Kind = "service",
            Id = service,
            Version = version + 1,
            At = now,
            Actor = actor,
            Action = "service.profile-changed",
            Details = JsonSerializer.SerializeToElement(profile, VulnCenterJson.Default.ServiceProfile),
            PreviousAuditHash = before?.AuditHash,
            CommandId = commandId,
        };
        using var command = new NpgsqlCommand(SaveService);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(new NpgsqlParameter<string> { TypedValue = service });
        p.Add(new NpgsqlParameter<long> { TypedValue = version });
        p.Add(OptionalParameter.Text(profile.Tier));
        p.Add(OptionalParameter.Text(profile.Owner));
        p.Add(OptionalParameter.Text(profile.Repository));
        p.Add(OptionalParameter.Of((short?)profile.Mission, NpgsqlDbType.Smallint));
        p.Add(OptionalParameter.Text(CvssEnvironments.Write(profile.CvssEnvironment)));
        p.Add(new NpgsqlParameter<bool> { TypedValue = before is not null });
        return await SaveAsync(command, change, recomputation, cancellation);
    }

    /// <summary>Services with a profile, by name.</summary>
    public async Task<IReadOnlyList<(string Service, StoredService Stored)>> ListServicesAsync(string tenant, string? after, int limit, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select version, tier, owner, repository, mission, cvss_environment, audit_hash, name from vuln_center.service
            where tenant = $1 and ($2::text is null or name > $2) order by name limit $3
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(OptionalParameter.Text(after));
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        List<(string, StoredService)> services = [];
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            services.Add((reader.GetString(7), new StoredService(
                reader.GetInt64(0),
                new ServiceProfile(
                    reader.Text(1), reader.Text(2), reader.Text(3), reader.IsDBNull(4) ? null : (MissionImpact)reader.GetInt16(4), CvssEnvironments.Read(reader.Text(5))),
                reader.GetFieldValue<byte[]>(6))));
        }

        return services;
    }

    private async Task<SaveOutcome> SaveAsync(NpgsqlCommand save, EntityChange change, NewJob recomputation, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var outcome = await tail.SaveAsync(save, change, connection, cancellation);
        if (outcome is SaveOutcome.Saved)
        {
            await jobs.EnqueueAsync(connection, recomputation, cancellation);
            await transaction.CommitAsync(cancellation);
            jobs.Wake();
        }

        return outcome;
    }

    private static T? Read<T>(NpgsqlDataReader reader, int column, JsonTypeInfo<T> type)
        where T : class => reader.Text(column) is { } json ? JsonSerializer.Deserialize(json, type) : null;
}

internal sealed record StoredPolicy<T>(long Version, T Policy, DateTimeOffset At, string Actor, byte[] AuditHash);

internal sealed record StoredService(long Version, ServiceProfile Profile, byte[] AuditHash);
