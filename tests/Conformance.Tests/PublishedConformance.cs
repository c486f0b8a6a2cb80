using System.Globalization;
using System.Text.Json;
using NJsonSchema;

namespace Wave16.Conformance.Tests;

/// <summary>What a module publishes is what is checked in: its API, its events, its tables.</summary>
public abstract class PublishedConformance(Hosts hosts) : ModuleConformance(hosts)
{
    public sealed class Alone(Hosts hosts) : PublishedConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.AloneAsync(module);
    }

    public sealed class InStandalone(Hosts hosts) : PublishedConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.InStandaloneAsync(module);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Its_API_is_the_one_in_openapi_json(string module)
    {
        var host = await HostAsync(module);
        using var client = host.Anonymous();
        var running = await GetJsonAsync(client, $"/openapi/{module}.json");
        var kept = JsonSerializer.Deserialize<JsonElement>(await File.ReadAllTextAsync(Repository.InModule(module, "openapi.json"), Cancel));
        Assert.DoesNotContain(OpenApiDocument.Differences(kept, running), difference => !difference.StartsWith("/servers", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_schema_of_its_API_is_one_that_an_operation_refers_to(string module)
    {
        var host = await HostAsync(module);
        using var client = host.Anonymous();
        Assert.Empty(OpenApiDocument.UnreachedSchemas(await GetJsonAsync(client, $"/openapi/{module}.json")));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_operation_has_a_name_a_summary_a_scope_and_its_problems(string module)
    {
        var host = await HostAsync(module);
        using var client = host.Anonymous();
        var operations = OpenApiDocument.Operations(await GetJsonAsync(client, $"/openapi/{module}.json"));
        Assert.NotEmpty(operations);
        Assert.Empty(operations.Where(operation => !HasText(operation, "operationId") || !HasText(operation, "summary")).Select(operation => $"{operation.Name}: no operationId or summary"));
        Assert.Equal(operations.Count, operations.Select(operation => operation.Definition.GetProperty("operationId").GetString()).Distinct().Count());
        Assert.Empty(operations.Where(operation => !NamesScope(operation)).Select(operation => $"{operation.Name}: no scope"));
        Assert.Empty(
            from operation in operations
            from status in (string[])["400", "401", "403", "429", "500", "503"]
            where !(operation.Definition.GetProperty("responses").TryGetProperty(status, out var response)
                && response.TryGetProperty("$ref", out var target) && target.GetString() == "#/components/responses/Problem")
            select $"{operation.Name}: {status} is not a problem document");
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task An_answer_is_of_a_status_a_type_and_a_shape_that_its_API_names(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var document = await GetJsonAsync(client, $"/openapi/{module}.json");
        var entity = Assert.Single(await sample.MakeAsync(client, 1));
        foreach (var (name, request) in sample.Ask(entity))
        {
            using var asked = request;
            using var answer = await client.SendAsync(asked, Cancel);
            var (status, text) = (((int)answer.StatusCode).ToString(CultureInfo.InvariantCulture), await answer.Content.ReadAsStringAsync(Cancel));
            var responses = Assert.Single(OpenApiDocument.Operations(document), operation => operation.Name == name).Definition.GetProperty("responses");
            Assert.True(responses.TryGetProperty(status, out var response), $"{name}: {status} is not documented: {text}");
            if (response.TryGetProperty("$ref", out var problem))
            {
                response = OpenApiDocument.Target(document, problem);
            }

            var type = answer.Content.Headers.ContentType?.MediaType;
            Assert.True(response.GetProperty("content").TryGetProperty(type ?? "", out var form), $"{name}: {status} is not documented as {type}");
            if (type is "application/json" or "application/problem+json")
            {
                var errors = (await JsonSchema.FromJsonAsync(OpenApiDocument.Schema(document, form.GetProperty("schema")), Cancel)).Validate(text);
                Assert.True(errors.Count == 0, $"{name}: {string.Join("; ", errors)} in {text}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_event_that_happens_is_what_its_schema_says(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        var tenant = NewTenant();
        using var client = await host.WithRolesAsync(tenant, sample.Roles);
        await sample.RaiseEverythingAsync(client);
        var events = await QueryAsync(host, "select type, data from platform.event where tenant = $1 and type not like '%.audit-sealed.%'", tenant);

        Assert.Equal(Repository.EventTypes(sample.EventTypes).Order(StringComparer.Ordinal), events.Select(raised => (string)raised[0]).Distinct().Order(StringComparer.Ordinal));
        foreach (var raised in events)
        {
            var (type, data) = ((string)raised[0], (string)raised[1]);
            var schema = await JsonSchema.FromFileAsync(Repository.InModule(module, "docs", "events", $"{type}.schema.json"), Cancel);
            var errors = schema.Validate(data);
            Assert.True(errors.Count == 0, $"{type}: {string.Join("; ", errors)} in {data}");
            Assert.Empty(JsonSerializer.Deserialize<JsonElement>(data).EnumerateObject().Select(member => member.Name).Except(schema.Properties.Keys));
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task What_it_tells_the_audit_trail_is_what_the_schema_says(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        var tenant = NewTenant();
        using var client = await host.WithRolesAsync(tenant, sample.Roles);
        await sample.RaiseEverythingAsync(client);
        var leaves = (await QueryAsync(host, "select id, encode(hash, 'hex'), canonical from platform.audit_leaf where tenant = $1 order by id", tenant)).ToDictionary(leaf => (long)leaf[0]);
        Assert.NotEmpty(leaves);
        List<JsonElement> told, sent;
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        do
        {
            await look.WaitForNextTickAsync(Cancel);
            told = [.. (await QueryAsync(host, $"select data from platform.event where tenant = $1 and type = 'wave16.{module}.audit-sealed.v1'", tenant))
                .Select(raised => JsonSerializer.Deserialize<JsonElement>((string)raised[0]))];

            // A neighbour's answer may bring a leaf more after the others were read.
            sent = [.. told.SelectMany(data => data.GetProperty("leaves").EnumerateArray()).Where(leaf => leaves.ContainsKey(leaf.GetProperty("id").GetInt64()))];
        }
        while (sent.Count < leaves.Count);

        var schema = await JsonSchema.FromFileAsync(Path.Combine(Repository.Root, "docs", "events", "audit-sealed.v1.schema.json"), Cancel);
        Assert.All(told, data =>
        {
            var errors = schema.Validate(data.GetRawText());
            Assert.True(errors.Count == 0, $"{string.Join("; ", errors)} in {data}");
            Assert.Empty(data.EnumerateObject().Select(member => member.Name).Except(schema.Properties.Keys));
            Assert.StartsWith($"wave16/{module}/", data.GetProperty("log").GetString(), StringComparison.Ordinal);
        });
        Assert.Equal(leaves.Keys.Order(), sent.Select(leaf => leaf.GetProperty("id").GetInt64()).Order());
        Assert.All(sent, leaf =>
        {
            var row = leaves[leaf.GetProperty("id").GetInt64()];
            Assert.Equal(((string)row[1], (string)row[2]), (leaf.GetProperty("hash").GetString(), leaf.GetProperty("canonical").GetString()));
            Assert.Empty(leaf.EnumerateObject().Select(member => member.Name).Except(schema.Properties["leaves"].Item?.Properties.Keys ?? []));
        });
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Its_tables_are_the_ones_in_schema_txt(string module)
    {
        var host = await HostAsync(module);
        var rows = await QueryAsync(host, DatabaseSchema.Sql, module.Replace('-', '_'));
        Repository.IsSnapshot(Repository.InModule(module, "docs", "schema.txt"), DatabaseSchema.Format(module, rows));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_partitioned_table_has_partitions_for_the_coming_days(string module)
    {
        var host = await HostAsync(module);
        var tables = await QueryAsync(host, """
            select t.oid::regclass::text, exists (
              select from pg_inherits i join pg_class c on c.oid = i.inhrelid cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
              where i.inhparent = t.oid and substring(b.bound from $re$TO \('([^']+)'\)$re$)::timestamptz >= now() + interval '5 days')
            from pg_class t join pg_namespace n on n.oid = t.relnamespace
            where t.relkind = 'p' and n.nspname in ('platform', $1)
            """, module.Replace('-', '_'));

        Assert.NotEmpty(tables);
        Assert.Empty(tables.Where(table => table[1] is false).Select(table => $"{table[0]}: AddRetention is missing"));
    }

    private static bool HasText(Operation operation, string member) => operation.Definition.TryGetProperty(member, out var text) && !string.IsNullOrWhiteSpace(text.GetString());

    private static bool NamesScope(Operation operation) =>
        operation.Definition.TryGetProperty("security", out var security)
        && security.EnumerateArray().All(requirement => requirement.EnumerateObject().All(scheme => scheme.Value.GetArrayLength() > 0))
        && security.GetArrayLength() > 0;
}
