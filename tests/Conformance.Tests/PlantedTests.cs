using System.Text.Json;
using System.Text.Json.Nodes;
using NJsonSchema;
using Npgsql;

namespace Wave16.Conformance.Tests;

/// <summary>The comparisons the list is made of find what was planted.</summary>
public sealed class PlantedTests(Hosts hosts)
{
    [Fact]
    public void Two_documents_differ_where_something_is_new_gone_or_changed_and_not_by_order()
    {
        var kept = JsonSerializer.Deserialize<JsonElement>("""{"paths":{"/a":{"get":{"summary":"x","tags":["t"]}},"/b":{}},"openapi":"3.1.1"}""");
        var running = JsonSerializer.Deserialize<JsonElement>("""{"openapi":"3.1.1","paths":{"/c":{},"/a":{"get":{"tags":["t","u"],"summary":"y"}}}}""");
        Assert.Equal(
            ["/paths//a/get/summary: \"x\" became \"y\"", "/paths//a/get/tags: 1 items became 2", "/paths//b is gone", "/paths//c is new"],
            OpenApiDocument.Differences(kept, running));
        Assert.Empty(OpenApiDocument.Differences(running, running));
    }

    [Fact]
    public void A_schema_that_only_itself_or_another_such_refers_to_is_not_reached()
    {
        var document = JsonSerializer.Deserialize<JsonElement>("""
            {"paths":{"/a":{"get":{"parameters":[{"schema":{"$ref":"#/components/schemas/Name"}}],"responses":{"400":{"$ref":"#/components/responses/Problem"}}}}},
             "components":{"responses":{"Problem":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Problem"}}}}},"schemas":{
               "Name":{"type":"string"},"Problem":{"properties":{"errors":{"items":{"$ref":"#/components/schemas/Error"}}}},"Error":{"properties":{"inner":{"$ref":"#/components/schemas/Error"}}},
               "Old":{"properties":{"older":{"$ref":"#/components/schemas/Older"}}},"Older":{"properties":{"old":{"$ref":"#/components/schemas/Old"}}}}}}
            """);

        Assert.Equal(["#/components/schemas/Old", "#/components/schemas/Older"], OpenApiDocument.UnreachedSchemas(document));
    }

    [Fact]
    public void A_request_fills_the_path()
    {
        var document = JsonSerializer.Deserialize<JsonElement>("""
            {"paths":{"/a/{id}/b/{name}":{"delete":{"parameters":[
              {"in":"path","name":"id","schema":{"type":"string","format":"uuid"}},{"in":"path","name":"name","schema":{"type":"string"}}]}}}}
            """);
        var operation = Assert.Single(OpenApiDocument.Operations(document));
        using var request = operation.ToRequest();
        Assert.Equal((HttpMethod.Delete, $"/a/{Guid.Empty}/b/1"), (request.Method, request.RequestUri?.ToString()));
    }

    [Theory]
    [InlineData("""{"key":"vuln:shop:0","finding":"00000000-0000-0000-0000-000000000001","service":"shop","why":"fixed"}""")]
    [InlineData("""{"key":"vuln:shop:00000000-0000-0000-0000-000000000001","finding":"one","service":"shop","why":"fixed"}""")]
    [InlineData("""{"key":"vuln:shop:00000000-0000-0000-0000-000000000001","finding":"00000000-0000-0000-0000-000000000001","service":"shop","why":"because"}""")]
    [InlineData("""{"key":"vuln:shop:00000000-0000-0000-0000-000000000001","finding":"00000000-0000-0000-0000-000000000001","service":"shop"}""")]
    public async Task An_event_that_is_not_what_its_schema_says_is_refused(string data)
    {
        var schema = await JsonSchema.FromFileAsync(
            Repository.InModule("vuln-center", "docs", "events", $"{VulnCenter.Contracts.VulnCenterEvents.GateWithdrawn}.schema.json"), TestContext.Current.CancellationToken);
        Assert.NotEmpty(schema.Validate(data));
    }

    [Theory]
    [InlineData("seq", "-1")]
    [InlineData("id", "\"1\"")]
    [InlineData("hash", "\"ABCD\"")]
    [InlineData("canonical", "{}")]
    [InlineData("canonical", null)]
    public async Task A_sealed_leaf_that_is_not_what_its_schema_says_is_refused(string member, string? value)
    {
        var schema = await JsonSchema.FromFileAsync(Path.Combine(Repository.Root, "docs", "events", "audit-sealed.v1.schema.json"), TestContext.Current.CancellationToken);
        var fits = JsonNode.Parse($$"""
            {
              "log": "wave16/vuln-center/0123456789ab",
              "checkpoint": "wave16/vuln-center/0123456789ab\n3\n{{new string('A', 43)}}=\nTimestamp: 1772366400000\n\n\u2014 wave16/vuln-center/0123456789ab AAAA\n",
              "leaves": [{ "seq": 2, "id": 3, "hash": "{{new string('0', 64)}}", "canonical": null }]
            }
            """) ?? throw new InvalidOperationException();
        Assert.Empty(schema.Validate(fits.ToJsonString()));
        var leaf = Assert.IsType<JsonObject>(fits["leaves"]?[0]);
        leaf.Remove(member);
        if (value is not null)
        {
            leaf[member] = JsonNode.Parse(value);
        }

        Assert.NotEmpty(schema.Validate(fits.ToJsonString()));
    }

    [Theory]
    [InlineData("alter table planted.t add column extra text")]
    [InlineData("alter table planted.t alter column id drop not null")]
    [InlineData("alter table planted.t alter column n type bigint")]
    [InlineData("drop index planted.t_by_n")]
    [InlineData("alter table planted.t drop constraint t_n_check")]
    [InlineData("alter table planted.t set (fillfactor = 50)")]
    public async Task A_changed_table_is_another_schema(string change)
    {
        await using var source = NpgsqlDataSource.Create(await hosts.DatabaseAsync());
        await ExecuteAsync(source, "create schema planted; create table planted.t (id uuid not null, n int default 1 check (n > 0)); create index t_by_n on planted.t (n)");
        var before = await DumpAsync(source);
        await ExecuteAsync(source, change);
        Assert.NotEqual(before, await DumpAsync(source));
    }

    private static async Task ExecuteAsync(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    private static async Task<string> DumpAsync(NpgsqlDataSource source)
    {
        await using var command = source.CreateCommand(DatabaseSchema.Sql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = "planted" });
        List<IReadOnlyList<object>> rows = [];
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        while (await reader.ReadAsync(TestContext.Current.CancellationToken))
        {
            rows.Add([reader.GetString(0)]);
        }

        return DatabaseSchema.Format("planted", rows);
    }
}
