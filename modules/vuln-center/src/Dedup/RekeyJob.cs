using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <param name="Version">The change that it was enqueued for; it brings services up to the rules in force when it comes to them.</param>
internal sealed record RekeyArguments(string Source, int Version);

/// <summary>Numbers of services.</summary>
internal sealed record RekeyProgress(int Services, int Done);

/// <summary>
/// Brings the services of a source up to rules that were changed, one transaction each. An attempt that is cut short is begun
/// again: a service that is brought up is not touched twice, and an import that comes first does it itself.
/// </summary>
internal sealed class RekeyJob([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, FindingKeys keys, ServiceTurns turns, TimeProvider clock) : IJobHandler<RekeyArguments>
{
    public const string KindName = "dedup-rekey";

    public async Task<JobOutcome> RunAsync(JobContext job, RekeyArguments arguments, CancellationToken cancellation)
    {
        IReadOnlyList<string> services;
        await using (var connection = await database.OpenAsync(cancellation))
        {
            services = await ServicesAsync(connection, job.Tenant, arguments.Source, cancellation);
        }

        for (var done = 0; done < services.Count; done++)
        {
            await job.ReportAsync(new RekeyProgress(services.Count, done), VulnCenterJson.Default.RekeyProgress, cancellation);
            using var turn = await turns.TakeAsync(job.Tenant, [services[done]], cancellation);
            await using var connection = await database.OpenAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            await connection.ExecuteAsync(MergeSql.Lock, cancellation, job.Tenant, services[done]);
            await keys.EnterAsync(
                connection, new SourceScope(job.Tenant, services[done], arguments.Source), job.CreatedBy, clock.GetUtcNow().ToUniversalTime(), cancellation);
            await job.GuardAsync(connection, cancellation);
            await transaction.CommitAsync(cancellation);
        }

        return JobOutcome.Success(new RekeyProgress(services.Count, services.Count), VulnCenterJson.Default.RekeyProgress);
    }

    /// <summary>Services that the source has scanned. Steps through scan_by_source from one service to the next.</summary>
    public static async Task<IReadOnlyList<string>> ServicesAsync(NpgsqlConnection connection, string tenant, string source, CancellationToken cancellation) =>
        await connection.ListAsync("""
            with recursive step(service) as (
              (select service from vuln_center.scan where tenant = $1 order by service limit 1)
              union all
              select (select s.service from vuln_center.scan s where s.tenant = $1 and s.service > step.service order by s.service limit 1) from step where step.service is not null
            )
            select service from step
            where service is not null and exists (select from vuln_center.scan s where s.tenant = $1 and s.service = step.service and s.source = $2)
            order by service
            """, row => row.GetString(0), cancellation, tenant, source);
}
