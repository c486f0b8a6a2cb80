using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Dedup;

namespace Wave16.VulnCenter.Imports;

/// <summary>Writes results to staging by COPY, a batch at a time, each batch a short transaction of its own.</summary>
internal sealed class ImportStaging([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    /// <summary>Results held in memory and written at once.</summary>
    public const int BatchSize = 5_000;

    private static readonly TimeSpan AbandonedAfter = TimeSpan.FromHours(6);

    private const string Copy = """
        copy vuln_center.staged (
          import, service, source, ordinal, finding, observation, pointer, payload_hash, kind, rule, title, severity, severity_from, raw_severity,
          identifiers, component, component_version, purl, fixed_versions, manifest, image, path, line, end_line, resource, url, environments,
          content_hash, detail, keys, key_kinds, key_fields, contents, code_scope, component_key, cvss_vector, exploit, identity, aliases, families, numbers, dismissed) from stdin (format binary)
        """;

    /// <summary>Announces an import, and removes what imports left behind that never came to their end; an earlier attempt at this one, too.</summary>
    public async Task BeginAsync(string tenant, Guid import, DateTimeOffset now, CancellationToken cancellation)
    {
        await DiscardAsync(tenant, import, cancellation);
        await using var command = database.DataSource.CreateCommand("""
            with mine as (
              insert into vuln_center.import (tenant, id, started_at) values ($1, $2, $3)
              on conflict (tenant, id) do update set started_at = excluded.started_at
            ), abandoned as (
              delete from vuln_center.import i where i.started_at < $4 and i.id <> $2
                and not exists (select from platform.job j where j.tenant = i.tenant and j.id = i.id and j.state in ('queued', 'running'))
              returning id
            ), rejections as (
              delete from vuln_center.staged_rejection r using abandoned a where r.import = a.id
            )
            delete from vuln_center.staged s using abandoned a where s.import = a.id
            """);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = import });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() - AbandonedAfter });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public async Task WriteAsync(Guid import, IReadOnlyList<StagedResult> results, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var copy = await connection.BeginBinaryImportAsync(Copy, cancellation);
        foreach (var result in results)
        {
            await WriteRowAsync(copy, import, result, cancellation);
        }

        await copy.CompleteAsync(cancellation);
    }

    public async Task WriteRejectionsAsync(Guid import, IReadOnlyList<StagedRejection> rejections, CancellationToken cancellation)
    {
        if (rejections.Count == 0)
        {
            return;
        }

        await using var connection = await database.OpenAsync(cancellation);
        await using var copy = await connection.BeginBinaryImportAsync(
            "copy vuln_center.staged_rejection (import, service, source, pointer, code, reason) from stdin (format binary)", cancellation);
        foreach (var rejection in rejections)
        {
            await copy.StartRowAsync(cancellation);
            await copy.WriteAsync(import, NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(rejection.Service, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(rejection.Source, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(rejection.Pointer, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(rejection.Code, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(rejection.Reason, NpgsqlDbType.Text, cancellation);
        }

        await copy.CompleteAsync(cancellation);
    }

    /// <summary>Forgets an import that will not be merged; not one whose job exists, for a lost answer to a commit does not undo it.</summary>
    public async Task DiscardAsync(string tenant, Guid import, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            with gone as (
              delete from vuln_center.import i where i.tenant = $1 and i.id = $2
                and not exists (select from platform.job j where j.tenant = i.tenant and j.id = i.id)
              returning id
            ), rejections as (
              delete from vuln_center.staged_rejection r using gone g where r.import = g.id
            )
            delete from vuln_center.staged s using gone g where s.import = g.id
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = import });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static async Task WriteRowAsync(NpgsqlBinaryImporter copy, Guid import, StagedResult result, CancellationToken cancellation)
    {
        var raw = result.Raw;
        await copy.StartRowAsync(cancellation);
        await copy.WriteAsync(import, NpgsqlDbType.Uuid, cancellation);
        await Text(result.Service);
        await Text(result.Source);
        await copy.WriteAsync(result.Ordinal, NpgsqlDbType.Integer, cancellation);
        await copy.WriteAsync(Guid.CreateVersion7(), NpgsqlDbType.Uuid, cancellation);
        await copy.WriteAsync(Guid.CreateVersion7(), NpgsqlDbType.Uuid, cancellation);
        await Text(raw.Pointer);
        await copy.WriteAsync(raw.PayloadHash.ToBytes(), NpgsqlDbType.Bytea, cancellation);
        await copy.WriteAsync((short)raw.Kind, NpgsqlDbType.Smallint, cancellation);
        await Text(raw.RuleId);
        await Text(raw.Title);
        await copy.WriteAsync((short)result.Severity.Severity, NpgsqlDbType.Smallint, cancellation);
        await Text(result.Severity.From);
        await Text(raw.RawSeverity);
        await Texts(raw.Identifiers.Select(id => id.Value));
        await Text(raw.Component?.Name);
        await Text(raw.Component?.Version);
        await Text(raw.Component?.Purl);
        await Texts(raw.Component?.FixedVersions ?? []);
        await Text(raw.Manifest);
        await Text(raw.ImageRepository);
        await Text(raw.Location?.Path);
        await Number(raw.Location?.StartLine);
        await Number(raw.Location?.EndLine);
        await Text(raw.Resource);
        await Text(raw.Web?.Url);
        await Texts(raw.Environments);
        await copy.WriteAsync(result.ContentHash, NpgsqlDbType.Bytea, cancellation);
        await copy.WriteAsync(result.Detail, NpgsqlDbType.Jsonb, cancellation);
        await copy.WriteAsync(result.Keys.Select(key => key.Hash.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
        await Texts(result.Keys.Select(StagedResult.KindOf));
        await copy.WriteAsync(Fields(result.Keys), NpgsqlDbType.Jsonb, cancellation);
        await copy.WriteAsync(result.Keys.Select(key => key.Content?.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
        await (raw.Location?.ScopeHash is { } scope ? copy.WriteAsync(scope.ToBytes(), NpgsqlDbType.Bytea, cancellation) : copy.WriteNullAsync(cancellation));
        await Text(raw.Component?.Key);
        await Text(result.Severity.Vector);
        await copy.WriteAsync(result.Exploit, NpgsqlDbType.Boolean, cancellation);
        await copy.WriteAsync(Identities.Write(result.Identity), NpgsqlDbType.Jsonb, cancellation);
        await Texts(raw.Aliases.SelectMany(alias => new[] { alias.A, alias.B }));
        await copy.WriteAsync(result.Keys.Select(key => key.Family?.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
        await copy.WriteAsync(result.Keys.Select(key => key.Number).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Integer, cancellation);
        await Text(result.Dismissed);

        Task Text(string? value) => value is null ? copy.WriteNullAsync(cancellation) : copy.WriteAsync(value, NpgsqlDbType.Text, cancellation);
        Task Number(int? value) => value is { } number ? copy.WriteAsync(number, NpgsqlDbType.Integer, cancellation) : copy.WriteNullAsync(cancellation);
        Task Texts(IEnumerable<string> values) => copy.WriteAsync(values.ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
    }

    /// <summary>What there is of the fields of each key.</summary>
    internal static string Fields(IReadOnlyList<DedupKey> keys) => JsonSerializer.Serialize([.. keys.Select(Present)], VulnCenterJson.Default.DictionaryStringStringArray);

    internal static string Fields(DedupKey key) => JsonSerializer.Serialize(Present(key), VulnCenterJson.Default.DictionaryStringString);

    private static Dictionary<string, string> Present(DedupKey key) =>
        key.Fields.Where(field => field.Value is not null).ToDictionary(field => field.Name, field => field.Value ?? "");
}

internal sealed record StagedRejection(string Service, string Source, string Pointer, string Code, string Reason);
