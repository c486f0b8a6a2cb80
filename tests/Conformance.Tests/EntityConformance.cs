using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.Conformance.Tests;

/// <summary>Idempotency keys, entity tags, pages, and the audit leaf of every change.</summary>
public abstract class EntityConformance(Hosts hosts) : ModuleConformance(hosts)
{
    public sealed class Alone(Hosts hosts) : EntityConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.AloneAsync(module);
    }

    public sealed class InStandalone(Hosts hosts) : EntityConformance(hosts)
    {
        protected override Task<Host> HostAsync(string module) => Hosts.InStandaloneAsync(module);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_repeated_creation_is_answered_as_the_first_time_and_creates_once(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var first = await CreateAsync(client, sample, variant: 1, "key-1");
        var again = await CreateAsync(client, sample, variant: 1, "key-1");
        Assert.True(first.Status is HttpStatusCode.OK or HttpStatusCode.Created or HttpStatusCode.Accepted, $"{first.Status}: {first.Body}");
        Assert.Equal((first.Status, first.Body, true), (again.Status, again.Body, again.Replayed));
        Assert.False(first.Replayed);
        Assert.Single((await GetJsonAsync(client, sample.List)).GetProperty("items").EnumerateArray());
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_key_that_was_used_for_another_body_is_refused(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        await CreateAsync(client, sample, variant: 1, "key-1");
        using var request = WithKey(sample.Create(variant: 2), "key-1");
        using var other = await client.SendAsync(request, Cancel);
        await ProblemAsync(other, HttpStatusCode.UnprocessableEntity, "idempotency.key-reused");
        Assert.Single((await GetJsonAsync(client, sample.List)).GetProperty("items").EnumerateArray());
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_change_needs_the_current_entity_tag(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var entity = Assert.Single(await sample.MakeAsync(client, 1));
        var tag = await TagAsync(client, entity);
        await ProblemAsync(await ChangeAsync(client, sample, entity, ifMatch: null), HttpStatusCode.PreconditionRequired, "precondition.required");
        using var made = await ChangeAsync(client, sample, entity, tag);
        Assert.True(made.IsSuccessStatusCode, await made.Content.ReadAsStringAsync(Cancel));
        Assert.NotEqual(tag, await TagAsync(client, entity));
        await ProblemAsync(await ChangeAsync(client, sample, entity, tag), HttpStatusCode.PreconditionFailed, "precondition.failed");
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task What_the_caller_has_already_is_not_sent_again(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var entity = Assert.Single(await sample.MakeAsync(client, 1));
        using var known = await GetIfNoneMatchAsync(client, entity, await TagAsync(client, entity));
        using var unknown = await GetIfNoneMatchAsync(client, entity, "\"another\"");
        Assert.Equal((HttpStatusCode.NotModified, 0), (known.StatusCode, (await known.Content.ReadAsByteArrayAsync(Cancel)).Length));
        Assert.Equal(HttpStatusCode.OK, unknown.StatusCode);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_walk_over_the_pages_meets_everything_once_even_while_more_is_added(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        var made = await sample.MakeAsync(client, 7);
        List<string> met = [];
        string? cursor = null;
        do
        {
            var page = await GetJsonAsync(client, $"{sample.List}?limit=2{(cursor is null ? "" : $"&cursor={cursor}")}");
            var items = page.GetProperty("items").EnumerateArray().Select(item => $"{sample.List}/{item.GetProperty("id").GetString()}").ToList();
            Assert.InRange(items.Count, 1, 2);
            if (cursor is null)
            {
                using var more = await client.SendAsync(sample.Create(variant: 1), Cancel);
                more.EnsureSuccessStatusCode();
            }

            met.AddRange(items);
            cursor = page.TryGetProperty("next", out var next) ? next.GetString() : null;
        }
        while (cursor is not null);
        Assert.Equal(met.Distinct(), met);
        Assert.Empty(made.Except(met));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_cursor_is_refused_with_other_filters_with_another_tenant_and_when_it_was_tampered_with(string module)
    {
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        using var client = await host.WithRolesAsync(NewTenant(), sample.Roles);
        using var stranger = await host.WithRolesAsync(NewTenant(), sample.Roles);
        await sample.MakeAsync(client, 3);
        var cursor = (await GetJsonAsync(client, $"{sample.List}?limit=1")).GetProperty("next").GetString() ?? "";
        using var filtered = await client.GetAsync(new Uri($"{sample.List}?limit=1&{sample.Filter}&cursor={cursor}", UriKind.Relative), Cancel);
        await ProblemAsync(filtered, HttpStatusCode.BadRequest, "cursor.filters-changed");
        using var foreign = await stranger.GetAsync(new Uri($"{sample.List}?limit=1&cursor={cursor}", UriKind.Relative), Cancel);
        await ProblemAsync(foreign, HttpStatusCode.BadRequest, "cursor.filters-changed");
        foreach (var at in (int[])[0, cursor.Length / 2, cursor.Length - 2])
        {
            var tampered = $"{cursor[..at]}{(cursor[at] == 'A' ? 'B' : 'A')}{cursor[(at + 1)..]}";
            using var refused = await client.GetAsync(new Uri($"{sample.List}?limit=1&cursor={tampered}", UriKind.Relative), Cancel);
            await ProblemAsync(refused, HttpStatusCode.BadRequest, "cursor.invalid");
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task A_change_leaves_an_audit_leaf_that_hashes_to_what_it_says(string module)
    {
        const string Leaves = "select actor, canonical, hash from platform.audit_leaf where tenant = $1 order by xid, id";
        var host = await HostAsync(module);
        var sample = ModuleSample.Of(module);
        var tenant = NewTenant();
        using var client = await host.WithRolesAsync(tenant, sample.Roles);
        var entity = Assert.Single(await sample.MakeAsync(client, 1));
        var before = await QueryAsync(host, Leaves, tenant);
        using var made = await ChangeAsync(client, sample, entity, await TagAsync(client, entity));
        made.EnsureSuccessStatusCode();
        using var refused = await ChangeAsync(client, sample, entity, "\"1\"");
        var after = await QueryAsync(host, Leaves, tenant);

        Assert.NotEmpty(before);
        Assert.Equal(before.Count + 1, after.Count);
        Assert.Equal($"{tenant}-tester", after[^1][0]);
        Assert.Contains(entity.Split('/')[^1], (string)after[^1][1], StringComparison.Ordinal);
        Assert.All(after, leaf => Assert.Equal(SHA256.HashData([0, .. Encoding.UTF8.GetBytes((string)leaf[1])]), (byte[])leaf[2]));
    }

    private static async Task<(HttpStatusCode Status, string Body, bool Replayed)> CreateAsync(HttpClient client, ModuleSample sample, int variant, string key)
    {
        using var request = WithKey(sample.Create(variant), key);
        using var answer = await client.SendAsync(request, Cancel);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(Cancel), answer.Headers.Contains("Idempotency-Replayed"));
    }

    private static HttpRequestMessage WithKey(HttpRequestMessage request, string key)
    {
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return request;
    }

    private static async Task<HttpResponseMessage> ChangeAsync(HttpClient client, ModuleSample sample, string entity, string? ifMatch)
    {
        using var request = sample.Change(entity);
        if (ifMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        }

        return await client.SendAsync(request, Cancel);
    }

    private static async Task<string> TagAsync(HttpClient client, string entity)
    {
        using var answer = await client.GetAsync(new Uri(entity, UriKind.Relative), Cancel);
        answer.EnsureSuccessStatusCode();
        return answer.Headers.ETag?.Tag ?? throw new InvalidOperationException($"{entity} has no entity tag.");
    }

    private static async Task<HttpResponseMessage> GetIfNoneMatchAsync(HttpClient client, string entity, string tag)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, entity);
        request.Headers.TryAddWithoutValidation("If-None-Match", tag);
        return await client.SendAsync(request, Cancel);
    }
}
