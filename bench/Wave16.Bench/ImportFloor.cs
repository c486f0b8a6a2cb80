using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.Bench;

/// <summary>
/// The least an import could do: read the file with the module's reader, and COPY the findings and observations it ends as into
/// tables like the module's own, with the same indexes, in one transaction. No keys, no matching, no history, no HTTP.
/// </summary>
internal sealed class ImportFloor(NpgsqlDataSource database)
{
    private const string Schema = "vuln_center_floor";

    public async Task PrepareAsync(CancellationToken cancellation)
    {
        var scripts = typeof(VulnCenterModule).Assembly;
        foreach (var name in scripts.GetManifestResourceNames().Where(name => name.EndsWith(".sql", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            await using var script = scripts.GetManifestResourceStream(name) ?? throw new InvalidOperationException(name);
            using var reader = new StreamReader(script);
            await using var command = database.CreateCommand((await reader.ReadToEndAsync(cancellation)).Replace("vuln_center", Schema, StringComparison.Ordinal));
            await command.ExecuteNonQueryAsync(cancellation);
        }

        // The counts behind the summary are kept by triggers: ours to pay for.
        await using var bare = database.CreateCommand($"alter table {Schema}.finding disable trigger user");
        await bare.ExecuteNonQueryAsync(cancellation);
    }

    /// <returns>Findings written.</returns>
    public async Task<int> RunAsync(string path, string tenant, CancellationToken cancellation)
    {
        var format = ReportFormats.Find("trivy") ?? throw new InvalidOperationException("No reader.");
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.Asynchronous);
        List<(Guid Id, StagedResult Result)> rows = [];
        await foreach (var item in format.ReadAsync(file, new ReportContext { SecretKey = new byte[32] }, cancellation))
        {
            if (item is ReportItem.Observed { Observation: var raw })
            {
                rows.Add((Guid.CreateVersion7(), StagedResult.Of(ImportCalls.Service, "trivy", rows.Count, raw, SourceRules.Default("trivy"))));
            }
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await FindingsAsync(connection, tenant, rows, cancellation);
        await ObservationsAsync(connection, tenant, rows, cancellation);
        await transaction.CommitAsync(cancellation);
        return rows.Count;
    }

    private static async Task FindingsAsync(NpgsqlConnection connection, string tenant, List<(Guid Id, StagedResult Result)> rows, CancellationToken cancellation)
    {
        var now = TimeProvider.System.GetUtcNow();
        await using var copy = await connection.BeginBinaryImportAsync($"""
            copy {Schema}.finding (
              tenant, id, version, service, source, kind, rule, title, severity, severity_from, scan_severity, scan_severity_from, raw_severity, status, status_since, identifiers,
              component, component_version, purl, fixed_versions, manifest, image, environments, first_seen, content_hash, audit_hash, detail) from stdin (format binary)
            """, cancellation);
        foreach (var (id, result) in rows)
        {
            var raw = result.Raw;
            await copy.StartRowAsync(cancellation);
            await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(id, NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(1L, NpgsqlDbType.Bigint, cancellation);
            await copy.WriteAsync(result.Service, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(result.Source, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync((short)raw.Kind, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync(raw.RuleId, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(raw.Title, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync((short)raw.Severity, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync("source", NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync((short)raw.Severity, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync("source", NpgsqlDbType.Text, cancellation);
            await Text(raw.RawSeverity);
            await copy.WriteAsync((short)FindingStatus.Open, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync(now, NpgsqlDbType.TimestampTz, cancellation);
            await copy.WriteAsync(raw.Identifiers.Select(known => known.Value).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
            await Text(raw.Component?.Name);
            await Text(raw.Component?.Version);
            await Text(raw.Component?.Purl);
            await copy.WriteAsync((raw.Component?.FixedVersions ?? []).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
            await Text(raw.Manifest);
            await Text(raw.ImageRepository);
            await copy.WriteAsync(raw.Environments.ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(now, NpgsqlDbType.TimestampTz, cancellation);
            await copy.WriteAsync(result.ContentHash, NpgsqlDbType.Bytea, cancellation);
            await copy.WriteAsync(result.ContentHash, NpgsqlDbType.Bytea, cancellation);
            await copy.WriteAsync(result.Detail, NpgsqlDbType.Jsonb, cancellation);
        }

        await copy.CompleteAsync(cancellation);

        Task Text(string? value) => value is null ? copy.WriteNullAsync(cancellation) : copy.WriteAsync(value, NpgsqlDbType.Text, cancellation);
    }

    private static async Task ObservationsAsync(NpgsqlConnection connection, string tenant, List<(Guid Id, StagedResult Result)> rows, CancellationToken cancellation)
    {
        var scan = Guid.CreateVersion7();
        await using var copy = await connection.BeginBinaryImportAsync(
            $"copy {Schema}.observation (tenant, finding, payload_hash, occurrence, id, scan, pointer, raw_severity, identity, content_hash) from stdin (format binary)", cancellation);
        foreach (var (id, result) in rows)
        {
            await copy.StartRowAsync(cancellation);
            await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(id, NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(result.Raw.PayloadHash.ToBytes(), NpgsqlDbType.Bytea, cancellation);
            await copy.WriteAsync(1, NpgsqlDbType.Integer, cancellation);
            await copy.WriteAsync(Guid.CreateVersion7(), NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(scan, NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(result.Raw.Pointer, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(result.Raw.RawSeverity ?? "", NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(Identities.Write(result.Identity), NpgsqlDbType.Jsonb, cancellation);
            await copy.WriteAsync(result.ContentHash, NpgsqlDbType.Bytea, cancellation);
        }

        await copy.CompleteAsync(cancellation);
    }
}
