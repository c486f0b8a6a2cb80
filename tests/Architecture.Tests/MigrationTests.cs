using System.Text.RegularExpressions;

namespace Wave16.Architecture.Tests;

/// <summary>Numbered migrations, and tables whose keys begin with the tenant.</summary>
public sealed partial class MigrationTests
{
    // What is not a tenant's own: rows of an import on their way in (keyed by the import, deleted by its merge), a log found by time, counts that are sums of rows, and the addresses of the module's neighbours.
    private static readonly string[] NotKeyedByTenant = ["vuln_center.staged", "vuln_center.staged_rejection", "vuln_center.decision", "vuln_center.finding_count", "vuln_center.finding_age", "vuln_center.finding_flow", "vuln_center.advisory_score", "vuln_center.neighbour"];

    [Fact]
    public void Two_migrations_with_one_number_and_one_without_are_found() => Assert.Equal(
        ["0002 is the number of 0002_a.sql, 0002_b.sql", "notes.sql has no number"],
        NumberFaults(["0001_first.sql", "0002_a.sql", "0002_b.sql", "notes.sql"]));

    [Fact]
    public void A_key_that_does_not_begin_with_the_tenant_is_found() => Assert.Equal(
        ["m.late: the key is (id, tenant)", "m.inline: the key is (id)", "m.keyless: there is no key"],
        KeyFaults("""
            create table m.good (
              tenant text not null,
              id uuid not null check (id is not null),
              primary key (tenant, id)
            );
            create table m.late (tenant text, id uuid, primary key (id, tenant));
            create table if not exists m.inline (
              id uuid primary key,  -- primary key (tenant, id)
              tenant text
            );
            create table m.keyless (tenant text not null);
            create table m.good_default partition of m.good default;
            """));

    [Fact]
    public void No_two_migrations_of_a_module_share_a_number()
    {
        var folders = Repository.Files("*.sql").Where(path => path.Contains("/Migrations/", StringComparison.Ordinal)).GroupBy(path => Path.GetDirectoryName(path) ?? "").ToList();
        Assert.True(folders.Count > Repository.Modules.Count, "Platform and each module have migrations.");
        Assert.Empty(folders.SelectMany(folder => NumberFaults(folder.Select(path => Path.GetFileName(path)))));
    }

    [Fact]
    public void Every_table_of_a_module_has_the_tenant_first_in_its_key()
    {
        var sql = Repository.Files("*.sql")
            .Where(path => path.StartsWith("modules/", StringComparison.Ordinal) && path.Contains("/Migrations/", StringComparison.Ordinal))
            .Select(path => File.ReadAllText(Path.Combine(Repository.Root, path))).ToList();
        Assert.NotEmpty(sql);
        var faults = sql.SelectMany(KeyFaults).ToList();
        Assert.DoesNotContain(faults, fault => !NotKeyedByTenant.Contains(fault.Split(':')[0]));
        Assert.All(NotKeyedByTenant, exception => Assert.Contains(faults, fault => fault.StartsWith($"{exception}:", StringComparison.Ordinal)));
    }

    private static IEnumerable<string> NumberFaults(IEnumerable<string> files)
    {
        var byNumber = files.GroupBy(file => Number().Match(file).Value).ToList();
        return byNumber.Where(same => same.Key.Length > 0 && same.Count() > 1)
            .Select(same => $"{same.Key} is the number of {string.Join(", ", same.Order(StringComparer.Ordinal))}")
            .Concat(byNumber.Where(same => same.Key.Length == 0).SelectMany(same => same).Select(file => $"{file} has no number"));
    }

    private static IEnumerable<string> KeyFaults(string sql)
    {
        var code = Comment().Replace(sql, "");
        foreach (Match table in Table().Matches(code))
        {
            var body = Body(code, table.Index + table.Length);
            var key = TableKey().Match(body) is { Success: true } stated ? stated.Groups["columns"].Value
                : ColumnKey().Match(body) is { Success: true } inline ? inline.Groups["column"].Value
                : null;
            if (key is null)
            {
                yield return $"{table.Groups["name"].Value}: there is no key";
            }
            else if (key.Split(',')[0].Trim() != "tenant")
            {
                yield return $"{table.Groups["name"].Value}: the key is ({key})";
            }
        }
    }

    private static string Body(string code, int start)
    {
        var end = start;
        for (var depth = 1; depth > 0 && end < code.Length; end++)
        {
            depth += code[end] switch { '(' => 1, ')' => -1, _ => 0 };
        }

        return code[start..end];
    }

    [GeneratedRegex("^[0-9]{4}(?=_)")]
    private static partial Regex Number();

    [GeneratedRegex("--[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"create\s+(unlogged\s+)?table\s+(if\s+not\s+exists\s+)?(?<name>[\w.]+)\s*\(", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture)]
    private static partial Regex Table();

    [GeneratedRegex(@"primary\s+key\s*\((?<columns>[^)]*)\)", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture)]
    private static partial Regex TableKey();

    [GeneratedRegex(@"(^|,)\s*(?<column>\w+)[^,]*\sprimary\s+key", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture)]
    private static partial Regex ColumnKey();
}
