using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Artifacts;

public sealed class ArtifactRemovalTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Content = """
        select (select count(*) from vuln_center.artifact where tenant = $1) || ' ' || (select count(*) from vuln_center.artifact_chunk where tenant = $1)
            || ' ' || coalesce((select bytes from vuln_center.artifact_usage where tenant = $1), 0)
        """;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_tenant_has_no_more_than_its_quota_and_is_told_the_limit()
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:MaxTenantArtifactBytes", "1000")]);
        using var client = await module.ClientAsync("quota", Cancellation, "operator");
        using var other = await module.ClientAsync("quota-other", Cancellation, "operator");
        var (first, second, theirs) = (await client.ImportOneAsync("shop-api", "high"), await client.ImportOneAsync("shop-web", "high"), await other.ImportOneAsync("shop-api", "high"));
        Assert.Equal(HttpStatusCode.Created, await AttachAsync(client, first.Id, Text(600, 'a')));

        using var refused = await client.PostAsync(Address(second.Id), Parts(Text(300, 'b'), Text(101, 'c')), Cancellation);
        var problem = await refused.Content.ReadFromJsonAsync<JsonElement>(Cancellation);

        Assert.Equal((HttpStatusCode.Conflict, "artifact.over-quota"), (refused.StatusCode, problem.GetProperty("code").GetString()));
        Assert.Equal("The tenant's artifacts have 600 bytes already, and may have 1000 (VulnCenter:MaxTenantArtifactBytes).", problem.GetProperty("detail").GetString());
        Assert.Equal("1 1 600", await host.ScalarAsync<string>(Content, "quota"));
        Assert.Equal(HttpStatusCode.Created, await AttachAsync(client, second.Id, Text(600, 'a')));
        Assert.Equal(HttpStatusCode.Created, await AttachAsync(client, second.Id, Text(400, 'b')));
        Assert.Equal(HttpStatusCode.Created, await AttachAsync(other, theirs.Id, Text(1000, 'a')));
        Assert.Equal("2 2 1000", await host.ScalarAsync<string>(Content, "quota"));
    }

    [Fact]
    public async Task Uploads_at_once_stay_within_the_quota_together()
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:MaxTenantArtifactBytes", "1000")]);
        using var client = await module.ClientAsync("quota-at-once", Cancellation, "operator");
        var finding = await client.ImportOneAsync("shop-api", "high");

        var answers = await Task.WhenAll("abcdefgh".Select(c => AttachAsync(client, finding.Id, Text(300, c))));

        Assert.Equal((3, 5), (answers.Count(status => status == HttpStatusCode.Created), answers.Count(status => status == HttpStatusCode.Conflict)));
        Assert.Equal("3 3 900", await host.ScalarAsync<string>(Content, "quota-at-once"));
    }

    [Fact]
    public async Task Content_goes_with_the_last_finding_that_refers_to_it_and_makes_room()
    {
        using var client = await host.OperatorAsync("removed");
        var (first, second) = (await client.ImportOneAsync("shop-api", "high"), await client.ImportOneAsync("shop-web", "high"));
        var log = Text(300_000, 'a');
        await AttachAsync(client, first.Id, log);
        await AttachAsync(client, second.Id, log);

        using var one = await client.DeleteAsync(Address(first.Id, Hex(log), "wrong file"), Cancellation);

        Assert.Equal((HttpStatusCode.OK, "\"3\"", 0), (one.StatusCode, one.Headers.ETag?.Tag, (await one.ReadAsync<ArtifactList>()).Items.Count));
        Assert.Equal("1 2 300000", await host.ScalarAsync<string>(Content, "removed"));
        Assert.Equal(log, await client.GetByteArrayAsync(Address(second.Id, Hex(log)), Cancellation));
        using var gone = await client.GetAsync(Address(first.Id, Hex(log)), Cancellation);
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);

        using var last = await client.DeleteAsync(Address(second.Id, Hex(log), "wrong file"), Cancellation);
        using var again = await client.DeleteAsync(Address(second.Id, Hex(log), "wrong file"), Cancellation);

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.NotFound), (last.StatusCode, again.StatusCode));
        Assert.Equal("0 0 0", await host.ScalarAsync<string>(Content, "removed"));
        Assert.Equal(HttpStatusCode.Created, await AttachAsync(client, first.Id, log));
        Assert.Equal(log, await client.GetByteArrayAsync(Address(first.Id, Hex(log)), Cancellation));
    }

    [Fact]
    public async Task Removing_is_in_the_history_and_the_audit_log_and_leaves_the_status_alone()
    {
        using var client = await host.OperatorAsync("removal-history");
        var finding = await client.ImportOneAsync("shop-api", "high");
        await AttachAsync(client, finding.Id, Text(10, 'a'));

        using var removed = await client.DeleteAsync(Address(finding.Id, Hex(Text(10, 'a')), "names a customer"), Cancellation);

        var step = (await client.FindingAsync(finding.Id)).History[0];
        Assert.Equal(
            ("finding.artifact-removed", FindingStatus.Open, FindingStatus.Open, $"names a customer ({Hex(Text(10, 'a'))})", "removal-history-tester"),
            (step.Change, step.From, step.To, step.Reason, step.Actor));
        Assert.Contains("\"contentRemoved\":true", await host.ScalarAsync<string>("select canonical from platform.audit_leaf where tenant = $1 and action = 'finding.artifact-removed'", "removal-history"), StringComparison.Ordinal);
        Assert.True((await client.GetFromJsonAsync<JsonElement>("/audit/vuln-center/verify", Cancellation)).GetProperty("intact").GetBoolean());
    }

    [Fact]
    public async Task What_is_the_evidence_for_a_change_of_status_is_not_removed()
    {
        using var client = await host.OperatorAsync("removal-evidence");
        var finding = await client.ImportOneAsync("shop-api", "high");
        var proof = Text(10, 'a');
        await MoveAsync(new { status = "triaged" });
        await MoveAsync(new { status = "fixed", reason = "upgraded" });
        await AttachAsync(client, finding.Id, proof);
        await MoveAsync(new { status = "verified", evidence = new { sha256 = Hex(proof) } });

        using var refused = await client.DeleteAsync(Address(finding.Id, Hex(proof), "no longer needed"), Cancellation);

        Assert.Equal((HttpStatusCode.Conflict, "artifact.is-evidence"), (refused.StatusCode, await refused.CodeOfAsync()));
        Assert.Equal(proof, await client.GetByteArrayAsync(Address(finding.Id, Hex(proof)), Cancellation));

        async Task MoveAsync(object step)
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            Assert.Equal(HttpStatusCode.OK, moved.StatusCode);
        }
    }

    [Fact]
    public async Task A_removal_needs_a_reason_and_a_tenant_removes_nothing_of_anothers()
    {
        using var client = await host.OperatorAsync("removal-mine");
        using var stranger = await host.OperatorAsync("removal-stranger");
        using var reader = await host.Module.ClientAsync("removal-mine", Cancellation, "reader");
        var finding = await client.ImportOneAsync("shop-api", "high");
        await AttachAsync(client, finding.Id, Text(10, 'a'));

        using var unreasoned = await client.DeleteAsync(Address(finding.Id, Hex(Text(10, 'a'))), Cancellation);
        using var strange = await stranger.DeleteAsync(Address(finding.Id, Hex(Text(10, 'a')), "mine"), Cancellation);
        using var unscoped = await reader.DeleteAsync(Address(finding.Id, Hex(Text(10, 'a')), "mine"), Cancellation);

        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.NotFound, HttpStatusCode.Forbidden), (unreasoned.StatusCode, strange.StatusCode, unscoped.StatusCode));
        Assert.Equal("1 1 10", await host.ScalarAsync<string>(Content, "removal-mine"));
    }

    [Fact]
    public async Task Content_that_is_attached_and_removed_at_once_is_there_exactly_when_a_finding_refers_to_it()
    {
        const string tenant = "removal-race";
        using var client = await host.OperatorAsync(tenant);
        var (first, second) = (await client.ImportOneAsync("shop-api", "high"), await client.ImportOneAsync("shop-web", "high"));
        var log = Text(300_000, 'a');
        for (var round = 0; round < 10; round++)
        {
            await AttachAsync(client, first.Id, log);
            var attaching = AttachAsync(client, second.Id, log);
            var removing = client.DeleteAsync(Address(first.Id, Hex(log), "wrong file"), Cancellation);
            Assert.Equal((HttpStatusCode.Created, HttpStatusCode.OK), (await attaching, (await removing).StatusCode));

            Assert.Equal(log, await client.GetByteArrayAsync(Address(second.Id, Hex(log)), Cancellation));
            Assert.Equal("1 2 300000", await host.ScalarAsync<string>(Content, tenant));
            using var cleared = await client.DeleteAsync(Address(second.Id, Hex(log), "next round"), Cancellation);
            Assert.Equal("0 0 0", await host.ScalarAsync<string>(Content, tenant));
        }
    }

    [Fact]
    public async Task The_client_removes_what_it_attached()
    {
        using var http = await host.OperatorAsync("removal-client");
        var client = new VulnCenterClient(http);
        var finding = await http.ImportOneAsync("shop-api", "high");
        var attached = await client.AttachAsync(finding.Id, new MemoryStream(Text(10, 'a')), "a.txt", "text/plain", cancellation: Cancellation);

        var left = await client.RemoveArtifactAsync(finding.Id, attached.Items[0].Sha256, "a mistake", Cancellation);

        Assert.Equal((3L, 0), (left.Version, left.Items.Count));
        Assert.Equal("0 0 0", await host.ScalarAsync<string>(Content, "removal-client"));
    }

    private static async Task<HttpStatusCode> AttachAsync(HttpClient client, Guid finding, byte[] content)
    {
        using var answer = await client.PostAsync(Address(finding), Parts(content), Cancellation);
        return answer.StatusCode;
    }

    private static MultipartFormDataContent Parts(params byte[][] contents)
    {
        var parts = new MultipartFormDataContent();
        foreach (var content in contents)
        {
            var file = new ByteArrayContent(content);
            file.Headers.ContentType = new MediaTypeHeaderValue("text/plain");
            parts.Add(file, "file", "a.txt");
        }

        return parts;
    }

    private static byte[] Text(int bytes, char letter) => Encoding.ASCII.GetBytes(new string(letter, bytes));

    private static string Hex(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private static Uri Address(Guid finding, string? sha256 = null, string? reason = null) =>
        new($"/findings/{finding}/artifacts{(sha256 is null ? "" : $"/{sha256}")}{(reason is null ? "" : $"?reason={Uri.EscapeDataString(reason)}")}", UriKind.Relative);
}
