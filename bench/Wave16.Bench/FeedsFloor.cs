using System.IO.Compression;
using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter.Feeds;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.Bench;

/// <summary>
/// The least a feed could do: read it with the module's reader, COPY it into a table like the module's own, with the same indexes, and
/// UPDATE the findings it concerns at once, in tables with the same indexes. No comparison with the feed before, no history, no batches
/// that let imports through, no triggers, no HTTP.
/// </summary>
internal sealed class FeedsFloor(NpgsqlDataSource database)
{
    private const string Schema = "vuln_center_floor";

    public async Task PrepareAsync(CancellationToken cancellation)
    {
        await new ImportFloor(database).PrepareAsync(cancellation);
        await ExecuteAsync($"""
            do $$ begin
              execute (select 'insert into {Schema}.finding (' || columns || ') select ' || columns || ' from vuln_center.finding'
                from (select string_agg(quote_ident(attname), ', ') as columns from pg_attribute
                      where attrelid = 'vuln_center.finding'::regclass and attnum > 0 and not attisdropped and attgenerated = '') c);
            end $$
            """, cancellation);
    }

    public async Task RestAsync(CancellationToken cancellation)
    {
        await ExecuteAsync($"truncate {Schema}.epss, {Schema}.kev, {Schema}.alias_edge, {Schema}.alias_cluster", cancellation);
        await ExecuteAsync($"update {Schema}.finding set epss = null, kev = false where epss is not null or kev", cancellation);
        await ExecuteAsync($"vacuum analyze {Schema}.finding", cancellation);
    }

    public async Task<int> EpssAsync(string path, string tenant, CancellationToken cancellation)
    {
        await using var file = Open(path);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await RunAsync(connection, $"truncate {Schema}.epss", cancellation);
        await using (var copy = await connection.BeginBinaryImportAsync($"copy {Schema}.epss (tenant, cve, score, percentile) from stdin (format binary)", cancellation))
        {
            await foreach (var row in new EpssFeed().ReadAsync(file, cancellation))
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Cve, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Score, NpgsqlDbType.Real, cancellation);
                await (row.Percentile is { } percentile ? copy.WriteAsync(percentile, NpgsqlDbType.Real, cancellation) : copy.WriteNullAsync(cancellation));
            }

            await copy.CompleteAsync(cancellation);
        }

        return await ScoreAsync(connection, transaction, cancellation);
    }

    public async Task<int> KevAsync(string path, string tenant, CancellationToken cancellation)
    {
        await using var file = Open(path);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using (var copy = await connection.BeginBinaryImportAsync($"copy {Schema}.kev (tenant, cve, added, due, ransomware) from stdin (format binary)", cancellation))
        {
            await foreach (var row in new KevFeed().ReadAsync(file, json: true, new ReportContext { SecretKey = default }, cancellation))
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Cve, NpgsqlDbType.Text, cancellation);
                await (row.Added is { } added ? copy.WriteAsync(added, NpgsqlDbType.Date, cancellation) : copy.WriteNullAsync(cancellation));
                await (row.Due is { } due ? copy.WriteAsync(due, NpgsqlDbType.Date, cancellation) : copy.WriteNullAsync(cancellation));
                await copy.WriteAsync(row.Ransomware, NpgsqlDbType.Boolean, cancellation);
            }

            await copy.CompleteAsync(cancellation);
        }

        var changed = await RunAsync(connection, $"""
            update {Schema}.finding f set kev = true, version = version + 1
            from (select distinct f.id from {Schema}.finding f, unnest(f.identifiers) as i(name) join {Schema}.kev k on k.cve = i.name) hit
            where f.id = hit.id
            """, cancellation);
        await transaction.CommitAsync(cancellation);
        return changed;
    }

    public async Task<int> AliasesAsync(string path, string tenant, CancellationToken cancellation)
    {
        await using var file = Open(path);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var now = TimeProvider.System.GetUtcNow();
        await using (var copy = await connection.BeginBinaryImportAsync($"copy {Schema}.alias_edge (tenant, a, b, source, since) from stdin (format binary)", cancellation))
        {
            await foreach (var row in new AliasFeed(null).ReadAsync(file, new ReportContext { SecretKey = default }, cancellation))
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.A, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.B, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Source, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Since?.ToUniversalTime() ?? now, NpgsqlDbType.TimestampTz, cancellation);
            }

            await copy.CompleteAsync(cancellation);
        }

        // A pair is a cluster: what this feed states has no longer chains.
        await RunAsync(connection, $"insert into {Schema}.alias_cluster select tenant, a, a from {Schema}.alias_edge union all select tenant, b, a from {Schema}.alias_edge", cancellation);
        await RunAsync(connection, $"analyze {Schema}.alias_cluster", cancellation);
        return await ScoreAsync(connection, transaction, cancellation);
    }

    private static async Task<int> ScoreAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, CancellationToken cancellation)
    {
        await RunAsync(connection, $"analyze {Schema}.epss", cancellation);
        var changed = await RunAsync(connection, $"""
            update {Schema}.finding f set epss = risk.epss
            from (
              select named.id, max(e.score) as epss
              from (
                select f.id, i.name from {Schema}.finding f, unnest(f.identifiers) as i(name)
                union all
                select f.id, other.id from {Schema}.finding f, unnest(f.identifiers) as i(name)
                join {Schema}.alias_cluster mine on mine.id = i.name join {Schema}.alias_cluster other on other.cluster = mine.cluster) named
              join {Schema}.epss e on e.cve = named.name
              group by named.id) risk
            where f.id = risk.id and f.epss is distinct from risk.epss
            """, cancellation);
        await transaction.CommitAsync(cancellation);
        return changed;
    }

    private static MemoryStream Open(string path)
    {
        using var packed = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        var plain = new MemoryStream();
        if (path.EndsWith(".gz", StringComparison.Ordinal))
        {
            using var unpacked = new GZipStream(packed, CompressionMode.Decompress);
            unpacked.CopyTo(plain);
        }
        else
        {
            packed.CopyTo(plain);
        }

        plain.Position = 0;
        return plain;
    }

    private async Task ExecuteAsync(string sql, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await RunAsync(connection, sql, cancellation);
    }

    private static async Task<int> RunAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        return await command.ExecuteNonQueryAsync(cancellation);
    }
}
