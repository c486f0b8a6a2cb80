using System.Text;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;

namespace Wave16.VulnCenter.Tests.Reporting;

[Collection(nameof(MeasuredAlone))]
public sealed class ReportMemoryTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_large_report_is_of_one_moment_and_takes_no_more_memory_than_a_small_one()
    {
        const int Findings = 60_000;
        const long Memory = 16 << 20;
        using var client = await host.OperatorAsync("large");
        await FillAsync("large", 1, Findings);
        using var answer = await client.GetAsync(new Uri("/reports/program-graph", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancellation);
        await using var body = await answer.Content.ReadAsStreamAsync(Cancellation);
        var buffer = new byte[64 << 10];
        long read = await body.ReadAtLeastAsync(buffer, buffer.Length, cancellationToken: Cancellation);
        await FillAsync("large", Findings + 1, 10);

        var (before, most, edges) = (GC.GetTotalMemory(forceFullCollection: true), 0L, 0L);
        for (var i = 0; await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, Cancellation) is > 0 and var more; i++)
        {
            read += more;
            edges += Encoding.ASCII.GetString(buffer, 0, more).Split("\"affects\"").Length - 1;
            most = i % 50 == 0 ? Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before) : most;
        }

        Assert.True(read > 30 << 20, $"{read} bytes");
        Assert.True(most < Memory, $"{most} bytes more while {read} went by");
        Assert.InRange(edges, Findings - 1_000, Findings);
        Assert.Equal(Findings + 10, (await new VulnCenterClient(client).ControlPlaneReportAsync(cancellation: Cancellation)).Items.Sum(item => item.Open));
    }

    private async Task FillAsync(string tenant, int from, int count)
    {
        await using var connection = new NpgsqlConnection(host.Database);
        await connection.OpenAsync(Cancellation);
        await using var command = new NpgsqlCommand("""
            insert into vuln_center.finding (
              tenant, id, version, service, source, kind, rule, title, severity, severity_from, status, status_since, identifiers, fixed_versions, path, line,
              environments, first_seen, content_hash, audit_hash, detail, scan_severity, scan_severity_from, sla_from)
            select $1, gen_random_uuid(), 1, 'service-' || n % 50, 'lint', 2, 'rule-' || n % 100, repeat('a title of some length ', 4) || n, 4, 'source', 1, now(), '{}', '{}',
              'src/' || n || '.cs', n, '{}', now(), '\x00', '\x00', '{}', 4, 'source', now()
            from generate_series($2, $2 + $3 - 1) n
            """, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = tenant });
        command.Parameters.Add(new NpgsqlParameter { Value = from });
        command.Parameters.Add(new NpgsqlParameter { Value = count });
        await command.ExecuteNonQueryAsync(Cancellation);
    }
}
