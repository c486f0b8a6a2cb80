using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Groups;

/// <summary>What the audit log says of a change of a group by hand.</summary>
internal sealed record GroupAudit(string Service, IReadOnlyList<Guid> Findings, IReadOnlyList<Guid> Members, string Reason);

/// <summary>Groups by hand: links findings, and takes findings out. One transaction, all of a request or nothing of it.</summary>
internal sealed class GroupActs(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    ServiceTurns turns,
    TimeProvider clock)
{
    private const string Findings = "select id, service, source from vuln_center.finding where tenant = $1 and id = any ($2)";

    private const string Members = """
        select g.id, g.service, m.finding from vuln_center.finding_group g
        join vuln_center.group_member m on m.tenant = g.tenant and m.grouped = g.id
        where g.tenant = $1 and g.id = any ($2) order by m.finding
        """;

    private const string Say = """
        insert into vuln_center.group_pair (tenant, a, b, apart, taken, at, actor, reason)
        select $1, least(n.x, n.y), greatest(n.x, n.y), $4, case when $4 then n.y end, $5, $6, $7 from unnest($2::uuid[], $3::uuid[]) as n(x, y)
        on conflict (tenant, a, b) do update
          set apart = excluded.apart, taken = excluded.taken, at = excluded.at, actor = excluded.actor, reason = excluded.reason
        """;

    private const string Acted = """
        update vuln_center.finding_group set version = version + 1, audit_hash = $3 where tenant = $1 and id = $2
        """;

    private const string Versions = "select version, audit_hash from vuln_center.finding_group where tenant = $1 and id = $2 for update";

    /// <param name="links">What to link.</param>
    /// <param name="pointer">Of one of them in the request: <c>/groups/3</c>; empty where there is only one.</param>
    public async Task<(GroupsChanged? Changed, Refusal? Refusal)> LinkAsync(
        string tenant, string actor, IReadOnlyList<GroupLink> links, Func<int, string> pointer, CancellationToken cancellation)
    {
        var found = await FindingsAsync(tenant, [.. links.SelectMany(link => link.Findings).Distinct()], cancellation);
        if (CheckLinks(links, found, pointer) is { } refusal)
        {
            return (null, refusal);
        }

        List<string> services = [.. links.Select(link => found[link.Findings[0]].Service)];
        using var turn = await turns.TakeAsync(tenant, services, cancellation);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await LockAsync(connection, tenant, services, cancellation);
        var now = clock.GetUtcNow().ToUniversalTime();
        for (var i = 0; i < links.Count; i++)
        {
            var (link, service) = (links[i], found[links[i].Findings[0]].Service);
            var pairs = link.Findings.SelectMany((x, at) => link.Findings.Skip(at + 1).Select(y => (x, y))).ToList();
            await SayAsync(connection, tenant, pairs, apart: false, now, actor, link.Reason, cancellation);
            await GroupUpkeep.FindingsAsync(connection, tenant, service, [.. link.Findings], cancellation);
            if (await GroupQueries.OfFindingsAsync(connection, tenant, [.. link.Findings], cancellation) is not [var group]
                || link.Findings.Except(group.Members.Select(member => member.Finding)).Any())
            {
                return (null, new Refusal(
                    FindingProblems.GroupKeptApart, "Some of the findings are kept apart from findings that others of them are linked with.",
                    [new FieldError($"{pointer(i)}/findings", "cannot be one group")]));
            }

            await AuditAsync(connection, tenant, group.Id, "group.linked", new GroupAudit(service, link.Findings, [.. group.Members.Select(member => member.Finding)], link.Reason), now, actor, cancellation);
        }

        return (await CommitAsync(connection, transaction, tenant, [.. links.SelectMany(link => link.Findings)], cancellation), null);
    }

    /// <param name="splits">What to take out of what.</param>
    /// <param name="pointer">Of one of them in the request: <c>/splits/3</c>; empty where there is only one.</param>
    public async Task<(GroupsChanged? Changed, Refusal? Refusal)> SplitAsync(
        string tenant, string actor, IReadOnlyList<GroupSplitOf> splits, Func<int, string> pointer, CancellationToken cancellation)
    {
        var known = await MembersAsync(tenant, [.. splits.Select(split => split.Group).Distinct()], cancellation);
        List<string> services = [.. known.Values.Select(group => group.Service)];
        using var turn = await turns.TakeAsync(tenant, services, cancellation);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await LockAsync(connection, tenant, services, cancellation);
        var now = clock.GetUtcNow().ToUniversalTime();
        for (var i = 0; i < splits.Count; i++)
        {
            // Read under the lock, and after the splits before this one.
            var split = splits[i];
            if (!known.ContainsKey(split.Group) || !(await MembersAsync(connection, tenant, [split.Group], cancellation)).TryGetValue(split.Group, out var group))
            {
                return (null, new Refusal(ProblemCodes.NotFound.Code, $"There is no group {split.Group}.", pointer(i).Length == 0 ? null : [new FieldError($"{pointer(i)}/group", "is no group")]));
            }

            var strangers = split.Findings.Select((finding, at) => (finding, at)).Where(of => !group.Members.Contains(of.finding)).ToList();
            if (strangers.Count > 0)
            {
                return (null, new Refusal(
                    FindingProblems.GroupNotMember, $"Group {split.Group} does not have all of these findings.",
                    [.. strangers.Select(of => new FieldError(FormattableString.Invariant($"{pointer(i)}/findings/{of.at}"), "is not a member of the group"))]));
            }

            var stay = group.Members.Except(split.Findings).ToList();
            var pairs = stay.Count > 0
                ? stay.SelectMany(x => split.Findings.Select(y => (x, y))).ToList()
                : [.. group.Members.SelectMany((x, at) => group.Members.Skip(at + 1).Select(y => (x, y)))];
            await SayAsync(connection, tenant, pairs, apart: true, now, actor, split.Reason, cancellation);
            await AuditAsync(connection, tenant, split.Group, "group.split", new GroupAudit(group.Service, split.Findings, stay, split.Reason), now, actor, cancellation);
            await GroupUpkeep.FindingsAsync(connection, tenant, group.Service, group.Members, cancellation);
        }

        return (await CommitAsync(connection, transaction, tenant, [.. splits.SelectMany(split => split.Findings)], cancellation), null);
    }

    private static Refusal? CheckLinks(IReadOnlyList<GroupLink> links, IReadOnlyDictionary<Guid, (string Service, string Source)> found, Func<int, string> pointer)
    {
        List<FieldError> missing = [], errors = [];
        for (var i = 0; i < links.Count; i++)
        {
            var findings = links[i].Findings;
            missing.AddRange(findings.Select((finding, at) => (finding, at)).Where(of => !found.ContainsKey(of.finding))
                .Select(of => new FieldError(FormattableString.Invariant($"{pointer(i)}/findings/{of.at}"), "is no finding")));
            if (missing.Count > 0)
            {
                continue;
            }

            var service = found[findings[0]].Service;
            errors.AddRange(findings.Select((finding, at) => (finding, at)).Where(of => found[of.finding].Service != service)
                .Select(of => new FieldError(FormattableString.Invariant($"{pointer(i)}/findings/{of.at}"), $"is of another service than the first, {service}")));
            if (findings.Select(finding => found[finding].Source).Distinct(StringComparer.Ordinal).Count() < 2)
            {
                errors.Add(new FieldError($"{pointer(i)}/findings", "must be of two sources at least"));
            }
        }

        return missing.Count > 0 ? new Refusal(ProblemCodes.NotFound.Code, "There is no such finding.", missing)
            : errors.Count > 0 ? new Refusal(ProblemCodes.Invalid.Code, "The findings cannot be one group.", errors)
            : null;
    }

    private async Task<IReadOnlyDictionary<Guid, (string Service, string Source)>> FindingsAsync(string tenant, Guid[] ids, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        Dictionary<Guid, (string, string)> found = [];
        await using var command = Command(connection, Findings, tenant, new NpgsqlParameter<Guid[]> { TypedValue = ids });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            found[reader.GetGuid(0)] = (reader.GetString(1), reader.GetString(2));
        }

        return found;
    }

    private async Task<IReadOnlyDictionary<Guid, (string Service, List<Guid> Members)>> MembersAsync(string tenant, Guid[] groups, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await MembersAsync(connection, tenant, groups, cancellation);
    }

    private static async Task<IReadOnlyDictionary<Guid, (string Service, List<Guid> Members)>> MembersAsync(
        NpgsqlConnection connection, string tenant, Guid[] groups, CancellationToken cancellation)
    {
        Dictionary<Guid, (string Service, List<Guid> Members)> found = [];
        await using var command = Command(connection, Members, tenant, new NpgsqlParameter<Guid[]> { TypedValue = groups });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            if (!found.TryGetValue(reader.GetGuid(0), out var group))
            {
                found[reader.GetGuid(0)] = group = (reader.GetString(1), []);
            }

            group.Members.Add(reader.GetGuid(2));
        }

        return found;
    }

    /// <summary>In one order for everybody.</summary>
    private static async Task LockAsync(NpgsqlConnection connection, string tenant, IEnumerable<string> services, CancellationToken cancellation)
    {
        foreach (var service in services.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            await using var command = Command(connection, MergeSql.Lock, tenant, new NpgsqlParameter<string> { TypedValue = service });
            await command.ExecuteNonQueryAsync(cancellation);
        }
    }

    private static async Task SayAsync(
        NpgsqlConnection connection, string tenant, IReadOnlyList<(Guid X, Guid Y)> pairs, bool apart, DateTimeOffset now, string actor, string reason, CancellationToken cancellation)
    {
        await using var command = Command(
            connection, Say, tenant,
            new NpgsqlParameter<Guid[]> { TypedValue = [.. pairs.Select(pair => pair.X)] }, new NpgsqlParameter<Guid[]> { TypedValue = [.. pairs.Select(pair => pair.Y)] },
            new NpgsqlParameter<bool> { TypedValue = apart }, new NpgsqlParameter<DateTimeOffset> { TypedValue = now }, new NpgsqlParameter<string> { TypedValue = actor },
            new NpgsqlParameter<string> { TypedValue = reason });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private async Task AuditAsync(
        NpgsqlConnection connection, string tenant, Guid group, string action, GroupAudit audit, DateTimeOffset now, string actor, CancellationToken cancellation)
    {
        long version;
        byte[]? previous;
        await using (var command = Command(connection, Versions, tenant, new NpgsqlParameter<Guid> { TypedValue = group }))
        {
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            await reader.ReadAsync(cancellation);
            (version, previous) = (reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetFieldValue<byte[]>(1));
        }

        var hash = await tail.WriteAsync(connection, new EntityChange
        {
            Tenant = tenant,
            Kind = "group",
            Id = group.ToString("D"),
            Version = version + 1,
            At = now,
            Actor = actor,
            Action = action,
            Details = JsonSerializer.SerializeToElement(audit, VulnCenterJson.Default.GroupAudit),
            PreviousAuditHash = previous is null ? default(ReadOnlyMemory<byte>?) : previous,
        }, cancellation);
        await using var acted = Command(connection, Acted, tenant, new NpgsqlParameter<Guid> { TypedValue = group }, new NpgsqlParameter<byte[]> { TypedValue = hash });
        await acted.ExecuteNonQueryAsync(cancellation);
    }

    private static async Task<GroupsChanged> CommitAsync(
        NpgsqlConnection connection, NpgsqlTransaction transaction, string tenant, Guid[] findings, CancellationToken cancellation)
    {
        var changed = new GroupsChanged(await GroupQueries.OfFindingsAsync(connection, tenant, findings, cancellation));
        await transaction.CommitAsync(cancellation);
        return changed;
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, string tenant, params NpgsqlParameter[] values)
    {
        var command = new NpgsqlCommand(sql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.AddRange(values);
        return command;
    }
}
