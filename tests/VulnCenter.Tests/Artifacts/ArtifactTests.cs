using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Wave16.Testing;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Artifacts;

public sealed class ArtifactTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Rows = """
        select (select count(*) from vuln_center.artifact where tenant = $1) + (select count(*) from vuln_center.artifact_chunk where tenant = $1)
             + (select count(*) from vuln_center.finding_artifact where tenant = $1)
        """;

    private static readonly byte[] Png = [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_file_comes_back_as_it_was_attached_and_never_as_a_page()
    {
        using var client = await host.OperatorAsync("files");
        var finding = await client.ImportOneAsync("shop-api", "high");
        var log = Encoding.UTF8.GetBytes("<script>alert(1)</script> is in the answer\n");

        using var answer = await client.PostAsync(Address(finding.Id), Parts("the answer", ("answer.txt", "text/plain", log)), Cancellation);
        var attached = Assert.Single((await answer.ReadAsync<ArtifactList>()).Items);
        using var content = await client.GetAsync(Address(finding.Id, attached.Sha256), Cancellation);

        Assert.Equal((HttpStatusCode.Created, "\"2\""), (answer.StatusCode, answer.Headers.ETag?.Tag));
        Assert.Equal(
            (Hex(log), "answer.txt", "text/plain", (long?)log.Length, "the answer", true, "files-tester"),
            (attached.Sha256, attached.Name, attached.MediaType, attached.Size, attached.Note, attached.Stored, attached.AttachedBy));
        Assert.Equal(log, await content.Content.ReadAsByteArrayAsync(Cancellation));
        Assert.Equal(
            ($"\"{attached.Sha256}\"", "text/plain", "attachment", "answer.txt", "nosniff"),
            (content.Headers.ETag?.Tag, content.Content.Headers.ContentType?.MediaType, content.Content.Headers.ContentDisposition?.DispositionType,
                content.Content.Headers.ContentDisposition?.FileName, content.Headers.GetValues("X-Content-Type-Options").Single()));
        Assert.Contains("sandbox", content.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Attaching_is_in_the_history_and_the_audit_log_and_leaves_the_status_alone()
    {
        using var client = await host.OperatorAsync("history");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using (var triaged = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*"))
        {
            triaged.EnsureSuccessStatusCode();
        }

        using var answer = await client.PostAsync(Address(finding.Id), Parts(null, ("alice.smith.png", "image/png", Png)), Cancellation);
        using (var moved = await client.MoveAsync(finding.Id, new { status = "fixed", reason = "upgraded" }, "\"3\""))
        {
            Assert.Equal(HttpStatusCode.OK, moved.StatusCode);
        }

        var detail = await client.FindingAsync(finding.Id);
        Assert.Equal(["finding.fix-claimed", "finding.artifact-attached", "finding.triaged", "finding.observed"], detail.History.Select(step => step.Change));
        Assert.Equal((FindingStatus.Triaged, FindingStatus.Triaged, Hex(Png)), (detail.History[1].From, detail.History[1].To, detail.History[1].Reason));
        var leaf = await host.ScalarAsync<string>("select canonical from platform.audit_leaf where tenant = $1 and action = 'finding.artifact-attached'", "history");
        Assert.Contains(Hex(Png), leaf, StringComparison.Ordinal);
        Assert.DoesNotContain("alice", leaf, StringComparison.Ordinal);
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = $1 and data like '%' || $2 || '%'", "history", Hex(Png)));
        Assert.True((await client.GetFromJsonAsync<JsonElement>("/audit/vuln-center/verify", Cancellation)).GetProperty("intact").GetBoolean());
    }

    [Fact]
    public async Task Ranges_and_entity_tags_are_honoured_across_the_pieces_it_is_kept_in()
    {
        using var client = await host.OperatorAsync("ranges");
        var finding = await client.ImportOneAsync("shop-api", "high");
        var content = Csv(700_000);
        using var answer = await client.PostAsync(Address(finding.Id), Parts(null, ("long.csv", "text/csv", content)), Cancellation);
        answer.EnsureSuccessStatusCode();

        foreach (var (from, to) in ((int, int)[])[(0, 0), (262_143, 262_144), (1, 524_289), (699_990, 699_999)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Address(finding.Id, Hex(content)));
            request.Headers.Range = new RangeHeaderValue(from, to);
            using var part = await client.SendAsync(request, Cancellation);
            Assert.Equal(HttpStatusCode.PartialContent, part.StatusCode);
            Assert.Equal(content[from..(to + 1)], await part.Content.ReadAsByteArrayAsync(Cancellation));
        }

        using var beyond = new HttpRequestMessage(HttpMethod.Get, Address(finding.Id, Hex(content)));
        beyond.Headers.Range = new RangeHeaderValue(700_000, null);
        using var unsatisfiable = await client.SendAsync(beyond, Cancellation);
        using var known = new HttpRequestMessage(HttpMethod.Get, Address(finding.Id, Hex(content)));
        known.Headers.IfNoneMatch.Add(new EntityTagHeaderValue($"\"{Hex(content)}\""));
        using var unchanged = await client.SendAsync(known, Cancellation);
        Assert.Equal((HttpStatusCode.RequestedRangeNotSatisfiable, HttpStatusCode.NotModified), (unsatisfiable.StatusCode, unchanged.StatusCode));
    }

    [Fact]
    public async Task The_same_content_many_times_at_once_is_stored_once_and_changes_each_finding_once()
    {
        using var client = await host.OperatorAsync("at-once");
        var first = await client.ImportOneAsync("shop-api", "high");
        var second = await client.ImportOneAsync("shop-web", "high");
        var (one, two) = (Csv(600_000), Csv(300_000));

        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => client.PostAsync(
            Address(i % 2 == 0 ? first.Id : second.Id),
            i % 4 < 2 ? Parts(null, ("a.csv", "text/csv", one), ("b.csv", "text/csv", two)) : Parts(null, ("b.csv", "text/csv", two), ("a.csv", "text/csv", one)),
            Cancellation)));

        Assert.Equal(2, answers.Count(answer => answer.StatusCode == HttpStatusCode.Created));
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.Created), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Equal((2L, 2L), ((await client.FindingAsync(first.Id)).Finding.Version, (await client.FindingAsync(second.Id)).Finding.Version));
        Assert.Equal(2L, await host.ScalarAsync<long>("select count(*) from vuln_center.artifact where tenant = $1", "at-once"));
        Assert.Equal(900_000L, await host.ScalarAsync<long>("select sum(length(content))::bigint from vuln_center.artifact_chunk where tenant = $1", "at-once"));
        Assert.Equal(one, await client.GetByteArrayAsync(Address(first.Id, Hex(one)), Cancellation));
        Assert.Equal(two, await client.GetByteArrayAsync(Address(second.Id, Hex(two)), Cancellation));
    }

    [Fact]
    public async Task Changes_of_status_and_artifacts_at_once_lose_nothing()
    {
        using var client = await host.OperatorAsync("mixed");
        var finding = await client.ImportOneAsync("shop-api", "high");
        var attaching = Enumerable.Range(0, 10).Select(i => client.PostAsync(Address(finding.Id), Parts(null, ($"{i}.txt", "text/plain", Encoding.UTF8.GetBytes($"{i}"))), Cancellation)).ToList();
        var moving = ((object[])[new { status = "triaged" }, new { status = "fixed", reason = "r" }, new { status = "open", reason = "r" }]).Select(async step =>
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            return moved.StatusCode;
        }).ToList();
        var attached = await Task.WhenAll(attaching);
        var moves = await Task.WhenAll(moving);

        Assert.All(attached, answer => Assert.Equal(HttpStatusCode.Created, answer.StatusCode));
        var detail = await client.FindingAsync(finding.Id);
        Assert.Equal(1L + 10 + moves.Count(status => status == HttpStatusCode.OK), detail.Finding.Version);
        Assert.Equal(Enumerable.Range(1, (int)detail.Finding.Version).Reverse(), detail.History.Select(step => (int)step.Version));
        Assert.Equal(10, (await client.GetFromJsonAsync<ArtifactList>(Address(finding.Id), VulnCenterCalls.Json, Cancellation))?.Items.Count);
    }

    [Theory]
    [InlineData("multipart/form-data", "--x\r\n", "artifact.malformed", "Content-Type")]
    [InlineData("multipart/form-data; boundary=\"\"", "--x\r\n", "artifact.malformed", "Content-Type")]
    [InlineData("multipart/form-data; boundary=x", "", "artifact.malformed", "/parts")]
    [InlineData("multipart/form-data; boundary=x", "--x--\r\n", "artifact.malformed", "/parts")]
    [InlineData("multipart/form-data; boundary=x", "no part at all", "artifact.malformed", "/parts")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nabc", "artifact.malformed", "/parts")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nabc\r\n--x", "artifact.malformed", "/parts/1")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\n\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Type: text/plain\r\n\r\nabc\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nabc\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nabc\r\n--y--\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=note\r\n\r\nonly a note\r\n--x--", "artifact.malformed", "/parts")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=note\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name=note\r\n\r\nb\r\n--x--", "artifact.malformed", "/parts/1")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=note\r\n\r\na\u0000b\r\n--x--", "artifact.malformed", "/parts/0")]
    [InlineData("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\n\r\nabc\r\n--x\r\nContent-Disposition: form-data; name=f; filename=b.exe\r\n\r\n\u007FELF\r\n--x--", "artifact.type-not-allowed", "/parts/1")]
    [InlineData("text/plain", "abc", "unsupported-media-type", null)]
    public async Task A_body_that_is_not_as_it_must_be_is_refused_and_nothing_of_it_is_kept(string type, string body, string code, string? pointer)
    {
        var tenant = $"hostile-{Hex(Encoding.UTF8.GetBytes(type + body))[..8]}";
        using var client = await host.OperatorAsync(tenant);
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var content = new ByteArrayContent(Encoding.Latin1.GetBytes(body));
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        using var answer = await client.PostAsync(Address(finding.Id), content, Cancellation);
        await RefusedAsync(answer, code, pointer);
        Assert.Equal((0L, 1L), (await host.ScalarAsync<long>(Rows, tenant), (await client.FindingAsync(finding.Id)).Finding.Version));
    }

    [Fact]
    public async Task More_parts_and_more_headers_than_there_may_be_are_refused_before_they_are_read()
    {
        using var client = await host.OperatorAsync("many-parts");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var parts = await client.PostAsync(
            Address(finding.Id), Parts(null, [.. Enumerable.Range(0, 5_000).Select(i => ($"{i}.txt", "text/plain", Encoding.UTF8.GetBytes($"{i}")))]), Cancellation);
        using var header = new StringContent($"--x\r\nContent-Disposition: form-data; name=f; filename={new string('a', 100_000)}\r\n\r\nabc\r\n--x--");
        header.Headers.ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=x");
        using var headers = await client.PostAsync(Address(finding.Id), header, Cancellation);
        using var eleven = await client.PostAsync(
            Address(finding.Id), Parts(null, [.. Enumerable.Range(0, 11).Select(i => ($"{i}.txt", "text/plain", Encoding.UTF8.GetBytes($"{i}")))]), Cancellation);
        Assert.Contains("At most 10 files", await eleven.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
        await RefusedAsync(eleven, "artifact.malformed", "/parts");
        await RefusedAsync(parts, "artifact.malformed", "/parts/11");
        await RefusedAsync(headers, "artifact.malformed", "/parts");
        Assert.Equal(0L, await host.ScalarAsync<long>(Rows, "many-parts"));
    }

    [Fact]
    public async Task An_artifact_may_be_as_large_as_the_limit_and_not_a_byte_larger()
    {
        await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:MaxArtifactBytes", "300000")]);
        using var client = await module.ClientAsync("limit", Cancellation, "operator");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var larger = await client.PostAsync(Address(finding.Id), Parts(null, ("small.csv", "text/csv", Csv(10)), ("large.csv", "text/csv", Csv(300_001))), Cancellation);
        await RefusedAsync(larger, "artifact.too-large", "/parts/1");
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, 0L), (larger.StatusCode, await host.ScalarAsync<long>(Rows, "limit")));
        using var largest = await client.PostAsync(Address(finding.Id), Parts(null, ("large.csv", "text/csv", Csv(300_000))), Cancellation);
        Assert.Equal(HttpStatusCode.Created, largest.StatusCode);
    }

    [Fact]
    public async Task Of_an_upload_that_is_interrupted_nothing_is_kept()
    {
        var spool = Directory.CreateTempSubdirectory("wave16-artifacts-").FullName;
        try
        {
            await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:SpoolDirectory", spool)]);
            using var client = await module.ClientAsync("interrupted", Cancellation, "operator");
            var finding = await client.ImportOneAsync("shop-api", "high");
            (await BeginUploadAsync(module, client, finding.Id, spool)).Dispose();
            await UntilAsync(() => !Directory.EnumerateFiles(spool).Any());
            Assert.Equal((0L, 1L), (await host.ScalarAsync<long>(Rows, "interrupted"), (await client.FindingAsync(finding.Id)).Finding.Version));
        }
        finally
        {
            Directory.Delete(spool, recursive: true);
        }
    }

    [Theory]
    [InlineData("../../etc/passwd", "passwd")]
    [InlineData("D:\\evidence\\proof.txt", "proof.txt")]
    [InlineData("...hidden", "hidden")]
    [InlineData("gpj.\u202Etxt", "gpj.txt")]
    [InlineData("a\u0001b.txt", "ab.txt")]
    [InlineData("../", null)]
    public async Task Of_a_name_only_what_is_a_name_is_kept(string sent, string? kept)
    {
        using var client = await host.OperatorAsync($"names-{Hex(Encoding.UTF8.GetBytes(sent))[..8]}");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes($"--x\r\nContent-Disposition: form-data; name=file; filename=\"{sent.Replace("\\", "\\\\", StringComparison.Ordinal)}\"\r\n\r\nabc\r\n--x--"));
        content.Headers.ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=x");
        using var answer = await client.PostAsync(Address(finding.Id), content, Cancellation);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal(kept, Assert.Single((await answer.ReadAsync<ArtifactList>()).Items).Name);
    }

    [Fact]
    public async Task A_key_stands_for_the_files_and_not_for_the_boundary_between_them()
    {
        using var client = await host.OperatorAsync("keys");
        var finding = await client.ImportOneAsync("shop-api", "high");
        async Task<HttpResponseMessage> SendAsync(string text)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, Address(finding.Id)) { Content = Parts("n", ("a.txt", "text/plain", Encoding.UTF8.GetBytes(text))) };
            request.Headers.Add("Idempotency-Key", "attach-1");
            return await client.SendAsync(request, Cancellation);
        }

        using var first = await SendAsync("one");
        using var again = await SendAsync("one");
        using var other = await SendAsync("two");
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created, HttpStatusCode.UnprocessableEntity), (first.StatusCode, again.StatusCode, other.StatusCode));
        Assert.True(again.Headers.Contains("Idempotency-Replayed"));
        Assert.Equal(2L, (await client.FindingAsync(finding.Id)).Finding.Version);
    }

    [Fact]
    public async Task What_is_kept_elsewhere_is_a_reference_until_its_content_comes()
    {
        using var client = await host.OperatorAsync("references");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var referred = await client.PostAsJsonAsync(Address(finding.Id), new ArtifactReference(Hex(Png).ToUpperInvariant(), "https://evidence.test/a.png", "image/png", 12, "proof"), Cancellation);
        using var elsewhere = await client.GetAsync(Address(finding.Id, Hex(Png)), Cancellation);
        using var uploaded = await client.PostAsync(Address(finding.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        var artifact = Assert.Single((await uploaded.ReadAsync<ArtifactList>()).Items);

        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (referred.StatusCode, uploaded.StatusCode));
        Assert.Equal((HttpStatusCode.NotFound, "artifact.elsewhere"), (elsewhere.StatusCode, await elsewhere.CodeOfAsync()));
        Assert.Equal((true, "https://evidence.test/a.png", "proof", "a.png"), (artifact.Stored, artifact.Uri, artifact.Note, artifact.Name));
        Assert.Equal(Png, await client.GetByteArrayAsync(Address(finding.Id, Hex(Png)), Cancellation));
    }

    [Theory]
    [InlineData("""{"sha256":"abc","uri":"https://e.test/a","mediaType":"text/plain"}""", "/sha256")]
    [InlineData("""{"sha256":"SHA","uri":"file:///etc/passwd","mediaType":"text/plain"}""", "/uri")]
    [InlineData("""{"sha256":"SHA","uri":"https://e.test/a","mediaType":"text/html"}""", "/mediaType")]
    [InlineData("""{"sha256":"SHA","uri":"https://e.test/a","mediaType":"text/plain","size":-1}""", "/size")]
    [InlineData("""{"sha256":"SHA","uri":"https://e.test/a","mediaType":"text/plain","note":"a\u0000b"}""", "/note")]
    [InlineData("""{"sha256":"SHA","mediaType":"text/plain"}""", "/uri")]
    [InlineData("""{"sha256":7}""", "/sha256")]
    [InlineData("""{"sha256":""", "/sha256")]
    public async Task A_bad_field_of_a_reference_is_named(string body, string pointer)
    {
        using var client = await host.OperatorAsync("fields");
        var finding = await client.ImportOneAsync("shop-api", "high");
        using var content = new StringContent(body.Replace("SHA", new string('a', 64), StringComparison.Ordinal), Encoding.UTF8, "application/json");
        using var answer = await client.PostAsync(Address(finding.Id), content, Cancellation);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        Assert.Contains(pointer, problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()));
        Assert.Equal(0L, await host.ScalarAsync<long>(Rows, "fields"));
    }

    [Fact]
    public async Task Another_tenant_has_no_such_finding_and_no_such_artifact_even_by_its_digest()
    {
        using var owner = await host.OperatorAsync("owner");
        using var stranger = await host.OperatorAsync("stranger");
        using var reader = await host.Module.ClientAsync("owner", Cancellation, "reader");
        var finding = await owner.ImportOneAsync("shop-api", "high");
        var foreign = await stranger.ImportOneAsync("shop-api", "high");
        using var attached = await owner.PostAsync(Address(finding.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        attached.EnsureSuccessStatusCode();

        using var list = await stranger.GetAsync(Address(finding.Id), Cancellation);
        using var content = await stranger.GetAsync(Address(finding.Id, Hex(Png)), Cancellation);
        using var byDigest = await stranger.GetAsync(Address(foreign.Id, Hex(Png)), Cancellation);
        using var post = await stranger.PostAsync(Address(finding.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        using var refer = await stranger.PostAsJsonAsync(Address(finding.Id), new ArtifactReference(Hex(Png), "https://e.test/a", "image/png"), Cancellation);
        using var byReader = await reader.PostAsync(Address(finding.Id), Parts(null, ("b.txt", "text/plain", [1])), Cancellation);

        Assert.All((HttpResponseMessage[])[list, content, byDigest, post, refer], answer => Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode));
        Assert.Equal(HttpStatusCode.Forbidden, byReader.StatusCode);
        Assert.Equal(0L, await host.ScalarAsync<long>(Rows, "stranger"));
        Assert.Equal(Png, await reader.GetByteArrayAsync(Address(finding.Id, Hex(Png)), Cancellation));
    }

    [Fact]
    public async Task A_digest_verifies_a_finding_only_when_its_artifact_is_attached_to_that_finding()
    {
        using var client = await host.OperatorAsync("evidence");
        var finding = await client.ImportOneAsync("shop-api", "critical");
        var other = await client.ImportOneAsync("shop-web", "critical");
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "upgraded" }])
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        var verified = new { status = "verified", evidence = new { sha256 = Hex(Png).ToUpperInvariant() } };
        using var unknown = await client.MoveAsync(finding.Id, verified, "*");
        using var toOther = await client.PostAsync(Address(other.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        using var ofOther = await client.MoveAsync(finding.Id, verified, "*");
        using var attached = await client.PostAsync(Address(finding.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        using var done = await client.MoveAsync(finding.Id, verified, "*");

        Assert.Equal((HttpStatusCode.UnprocessableEntity, HttpStatusCode.UnprocessableEntity, HttpStatusCode.OK), (unknown.StatusCode, ofOther.StatusCode, done.StatusCode));
        Assert.Equal("finding.evidence-insufficient", await unknown.CodeOfAsync());
    }

    [Fact]
    public async Task What_was_attached_before_the_fix_shows_nothing_of_it_and_a_reference_is_no_more_than_a_link()
    {
        using var client = await host.OperatorAsync("early-evidence");
        var finding = await client.ImportOneAsync("shop-api", "critical");
        using var proof = await client.PostAsync(Address(finding.Id), Parts(null, ("a.png", "image/png", Png)), Cancellation);
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "upgraded" }])
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        using var reference = await client.PostAsJsonAsync(
            Address(finding.Id), new ArtifactReference(new string('b', 64), "https://evidence.test/scan.log", "text/plain"), VulnCenterCalls.Json, Cancellation);
        using var early = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { sha256 = Hex(Png) } }, "*");
        using var linked = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { sha256 = new string('b', 64) } }, "*");

        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (proof.StatusCode, reference.StatusCode));
        Assert.Equal(("finding.evidence-insufficient", "finding.evidence-insufficient"), (await early.CodeOfAsync(), await linked.CodeOfAsync()));
    }

    [Fact]
    public async Task A_tenant_whose_uploads_take_their_time_leaves_room_for_others()
    {
        var spool = Directory.CreateTempSubdirectory("wave16-artifacts-").FullName;
        try
        {
            await using var module = await host.StartModuleAsync(settings: [new("VulnCenter:ConcurrentUploads", "2"), new("VulnCenter:SpoolDirectory", spool)]);
            using var slow = await module.ClientAsync("slow-uploads", Cancellation, "operator");
            using var quick = await module.ClientAsync("quick-uploads", Cancellation, "operator");
            var (slowly, quickly) = (await slow.ImportOneAsync("shop-api", "high"), await quick.ImportOneAsync("shop-api", "high"));
            using var half = await BeginUploadAsync(module, slow, slowly.Id, spool);
            using var refused = await slow.PostAsync(Address(slowly.Id), Parts(null, ("a.txt", "text/plain", "a"u8.ToArray())), Cancellation);
            using var others = await quick.PostAsync(Address(quickly.Id), Parts(null, ("a.txt", "text/plain", "a"u8.ToArray())), Cancellation);
            Assert.Equal((HttpStatusCode.ServiceUnavailable, HttpStatusCode.Created), (refused.StatusCode, others.StatusCode));
        }
        finally
        {
            Directory.Delete(spool, recursive: true);
        }
    }

    /// <summary>Sends half of a file, and comes back when the module has begun to take it.</summary>
    private static async Task<TcpClient> BeginUploadAsync(RunningModules module, HttpClient client, Guid finding, string spool)
    {
        var socket = new TcpClient();
        await socket.ConnectAsync(module.Address.Host, module.Address.Port, Cancellation);
        await socket.GetStream().WriteAsync(
            Encoding.ASCII.GetBytes(
                $"POST {Address(finding)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {client.DefaultRequestHeaders.Authorization}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                + "Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nhalf of it"),
            Cancellation);
        await UntilAsync(() => Directory.EnumerateFiles(spool, "wave16-artifact-*").Any());
        return socket;
    }

    private static Uri Address(Guid finding, string? sha256 = null) => new($"/findings/{finding}/artifacts{(sha256 is null ? "" : $"/{sha256}")}", UriKind.Relative);

    private static string Hex(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private static byte[] Csv(int bytes) => [.. Enumerable.Range(0, bytes).Select(i => (byte)(i % 61 == 60 ? '\n' : 'a' + (i * 31 % 23)))];

    private static MultipartFormDataContent Parts(string? note, params (string Name, string Type, byte[] Content)[] files)
    {
        var parts = new MultipartFormDataContent();
        if (note is not null)
        {
            parts.Add(new StringContent(note), "note");
        }

        foreach (var (name, type, content) in files)
        {
            var file = new ByteArrayContent(content);
            file.Headers.ContentType = new MediaTypeHeaderValue(type);
            parts.Add(file, "file", name);
        }

        return parts;
    }

    private static async Task RefusedAsync(HttpResponseMessage answer, string code, string? pointer)
    {
        var text = await answer.Content.ReadAsStringAsync(Cancellation);
        var problem = JsonSerializer.Deserialize<JsonElement>(text);
        Assert.True(problem.TryGetProperty("code", out var given) && given.GetString() == code, text);
        if (pointer is not null)
        {
            Assert.Equal(pointer, problem.GetProperty("errors")[0].EnumerateObject().First(member => member.Name is "pointer" or "header").Value.GetString());
        }
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!condition())
        {
            await look.WaitForNextTickAsync(Cancellation);
        }
    }
}
