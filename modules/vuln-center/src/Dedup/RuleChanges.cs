using System.Data;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <summary>Reads, tries and changes the rules of sources.</summary>
internal sealed class RuleChanges(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    TimeProvider clock)
{
    private const int Listed = 100;

    // Small ones are done by then, and the answer says so.
    private static readonly TimeSpan WaitForJob = TimeSpan.FromSeconds(5);

    /// <summary>Sources that have findings or rules of their own. Steps through finding_by_source from one source to the next.</summary>
    public async Task<IReadOnlyList<DedupSource>> ListAsync(string tenant, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await connection.ListAsync("""
            with recursive step(source) as (
              (select source from vuln_center.finding where tenant = $1 order by source limit 1)
              union all
              select (select f.source from vuln_center.finding f where f.tenant = $1 and f.source > step.source order by f.source limit 1) from step where step.source is not null
            ), known as (
              select source from step where source is not null union select source from vuln_center.dedup_rule where tenant = $1
            )
            select k.source, coalesce((select max(r.version) from vuln_center.dedup_rule r where r.tenant = $1 and r.source = k.source), 1) from known k order by k.source
            """, row => new DedupSource(row.GetString(0), row.GetInt32(1)), cancellation, tenant);
    }

    public async Task<DedupRules> FindAsync(string tenant, string source, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        var rules = await RuleSets.CurrentAsync(connection, tenant, source, cancellation);
        var changed = (await connection.ListAsync(
            "select at, actor from vuln_center.dedup_rule where tenant = $1 and source = $2 and version = $3",
            row => (At: row.GetFieldValue<DateTimeOffset>(0), Actor: row.GetString(1)), cancellation, tenant, source, rules.Version)).SingleOrDefault();
        var services = rules.Version == 1 ? [] : await RekeyJob.ServicesAsync(connection, tenant, source, cancellation);
        var done = await connection.ScalarAsync<long>(
            "select count(*) from vuln_center.dedup_keyed where tenant = $1 and source = $2 and version = $3 and service = any ($4)",
            cancellation, tenant, source, rules.Version, services.ToArray());
        return new DedupRules(
            source, rules.Version, RuleSets.View(rules), RuleSets.View(SourceRules.Default(source)),
            changed.Actor is null ? null : changed.At, changed.Actor, services.Count - (int)done);
    }

    /// <summary>The rules the source has now are its next version, and the job that applies them is on its way.</summary>
    /// <returns>Null, or why nothing was changed.</returns>
    public async Task<Refusal?> ChangeAsync(string tenant, string actor, string source, IfMatch ifMatch, IReadOnlyList<DedupKeyRule> keys, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow().ToUniversalTime();
        var job = Guid.CreateVersion7();
        await using (var connection = await database.OpenAsync(cancellation))
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            var current = await RuleSets.CurrentAsync(connection, tenant, source, cancellation);
            if (ifMatch.Check(current.Version) is { } stale)
            {
                return stale;
            }

            var body = RuleSets.Write(keys);
            if (body == RuleSets.Write(RuleSets.View(current)))
            {
                return null;
            }

            var previous = await connection.ScalarAsync<byte[]>(
                "select audit_hash from vuln_center.dedup_rule where tenant = $1 and source = $2 and version = $3", cancellation, tenant, source, current.Version);
            var change = new EntityChange
            {
                Tenant = tenant,
                Kind = "dedup-rules",
                Id = source,
                Version = current.Version + 1,
                At = now,
                Actor = actor,
                Action = "dedup-rules.changed",
                Details = JsonSerializer.SerializeToElement(keys, VulnCenterJson.Default.IReadOnlyListDedupKeyRule),
                PreviousAuditHash = previous,
            };
            await using (var insert = connection.Statement(
                """
                insert into vuln_center.dedup_rule (tenant, source, version, body, at, actor, audit_hash) values ($1, $2, $3, $4, $5, $6, $7)
                on conflict do nothing
                """, tenant, source, current.Version + 1))
            {
                insert.Parameters.Add(new NpgsqlParameter { Value = body, NpgsqlDbType = NpgsqlDbType.Jsonb });
                insert.Parameters.Add(new NpgsqlParameter { Value = now });
                insert.Parameters.Add(new NpgsqlParameter { Value = actor });
                insert.Parameters.Add(new NpgsqlParameter { Value = AuditLeaf.Hash(AuditLeaf.Canonical(change)) });
                if (await insert.ExecuteNonQueryAsync(cancellation) == 0)
                {
                    return new Refusal(ProblemCodes.PreconditionFailed.Code, "The rules were changed at the same time; read them again and decide anew.");
                }
            }

            await tail.WriteAsync(connection, change, cancellation);
            await jobs.EnqueueAsync(
                connection, NewJob.Of(tenant, job, RekeyJob.KindName, new RekeyArguments(source, current.Version + 1), VulnCenterJson.Default.RekeyArguments, actor), cancellation);
            await transaction.CommitAsync(cancellation);
        }

        jobs.Wake();
        await jobs.WaitAsync(tenant, job, WaitForJob, cancellation);
        return null;
    }

    /// <summary>What the keys would do to the findings there are, all in one snapshot. Nothing is written but temporary tables.</summary>
    public async Task<(DedupPreview? Preview, Refusal? Refusal)> TryAsync(
        string tenant, string source, IfMatch ifMatch, IReadOnlyList<DedupKeyRule> keys, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
        var current = await RuleSets.CurrentAsync(connection, tenant, source, cancellation);
        if (ifMatch.Check(current.Version) is { } stale)
        {
            return (null, stale);
        }

        var preview = new DedupPreview(source, current.Version, 0, 0, 0, 0, [], []);
        foreach (var service in await RekeyJob.ServicesAsync(connection, tenant, source, cancellation))
        {
            var scope = new SourceScope(tenant, service, source);
            var (_, keyed, _, _) = await FindingKeys.VersionsAsync(connection, scope, cancellation);
            var rekeying = new Rekeying(
                connection, scope, await RuleSets.FindAsync(connection, tenant, source, keyed, cancellation), RuleSets.Of(source, current.Version + 1, keys),
                await Refinements.LoadAsync(connection, tenant, service, source, cancellation));
            var (counts, _) = await rekeying.PlanAsync(cancellation);
            var (splits, firstSplits) = await rekeying.SplitsAsync(cancellation);
            var (merges, firstMerges) = await rekeying.MergesAsync(cancellation);
            preview = preview with
            {
                Findings = preview.Findings + counts.Findings,
                Unknown = preview.Unknown + counts.Unknown,
                Splits = preview.Splits + splits,
                Merges = preview.Merges + merges,
                SplitFindings = [.. preview.SplitFindings.Concat(firstSplits).Take(Listed)],
                MergedFindings = [.. preview.MergedFindings.Concat(firstMerges).Take(Listed)],
            };
        }

        return (preview, null);
    }
}
