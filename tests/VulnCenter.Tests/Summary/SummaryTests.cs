using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Summary;
using Wave16.VulnCenter.Tests.Findings;

namespace Wave16.VulnCenter.Tests.Summary;

public sealed class SummaryTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    /// <summary>Changes of every kind, by statements of one row and of many, and rows folded in between.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task The_summary_is_what_counting_anew_gives(int seed)
    {
        var tenant = $"recount-{seed}";
        var random = new Random(seed);
        var now = DateTimeOffset.UtcNow;
        using var client = await host.OperatorAsync(tenant);
        var backlog = host.Module.Services.GetRequiredService<BacklogQueries>();
        for (var round = 0; round < 6; round++)
        {
            await SeededFinding.InsertAsync(host.Database, tenant, Enumerable.Range(0, 25).Select(_ => SeededFinding.Draw(random, now)));
            await ChangeAsync(tenant, $"update vuln_center.finding set severity = {random.Next(7)}, kev = not kev where tenant = $1 and hashtext(id::text) % 5 = {random.Next(5)}");
            await ChangeAsync(tenant, $"update vuln_center.finding set suppression = case when suppression is null then 2 end where tenant = $1 and hashtext(id::text) % 7 = {random.Next(7)}");
            await ChangeAsync(tenant, $"update vuln_center.finding set status = {1 + random.Next(4)}, sla_breached_at = now() where tenant = $1 and hashtext(id::text) % 6 = {random.Next(6)}");
            await ChangeAsync(tenant, $"update vuln_center.finding set service = 'service-{random.Next(6)}', first_seen = first_seen - interval '9 days' where tenant = $1 and hashtext(id::text) % 8 = {random.Next(8)}");
            await ChangeAsync(tenant, $"delete from vuln_center.finding where tenant = $1 and hashtext(id::text) % 23 = {random.Next(23)}");
            if (round % 2 == 0)
            {
                await backlog.FoldAsync(TestContext.Current.CancellationToken);
            }

            foreach (var service in (string?[])[null, "service-2", "service-none"])
            {
                var summary = await SummaryOfAsync(client, service);
                Assert.Equal(await RecountAsync(tenant, service), Counted(summary));
                Assert.Equal(summary.Open, summary.Services.Sum(each => each.Open));
                Assert.Equal(summary.Open, summary.Aging.Sum(bucket => bucket.Open));
                Assert.Equal(summary.Open, summary.BySeverity.Values.Sum());
            }
        }
    }

    [Fact]
    public async Task What_opened_opened_again_and_closed_stands_in_its_week_and_the_time_to_fix_runs_from_the_latest_opening()
    {
        const string tenant = "flow";
        var finding = new SeededFinding { Service = "flowing", Severity = Severity.High, FirstSeen = DateTimeOffset.UtcNow.AddDays(-20) };
        await SeededFinding.InsertAsync(host.Database, tenant, [finding]);
        // Open for four days, gone, back for two, gone and verified.
        foreach (var (version, ago, from, to) in ((int, int, string, int)[])[(1, 20, "null", 1), (2, 19, "1", 2), (3, 16, "2", 3), (4, 12, "3", 1), (5, 10, "1", 3), (6, 9, "3", 4)])
        {
            await ChangeAsync(tenant, $"""
                insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status)
                values ($1, '{finding.Id}', {version}, now() - interval '{ago} days', 'test', 'test', {from}, {to})
                """);
        }

        using var client = await host.OperatorAsync(tenant);
        var summary = await SummaryOfAsync(client, service: null);

        Assert.Equal(13, summary.Weeks.Count);
        Assert.Equal((1L, 1L, 2L), (summary.Weeks.Sum(week => week.Opened), summary.Weeks.Sum(week => week.Reopened), summary.Weeks.Sum(week => week.Closed)));
        Assert.All(summary.Weeks, week => Assert.Equal(DayOfWeek.Monday, week.Week.DayOfWeek));
        Assert.Equal(1, Assert.Single(summary.Weeks, week => week.Opened > 0).Opened);
        var day = DateOnly.FromDateTime(DateTime.UtcNow.AddDays(-20));
        Assert.InRange(day.DayNumber - Assert.Single(summary.Weeks, week => week.Opened > 0).Week.DayNumber, 0, 6);
        Assert.Equal(new TimeToFix(Severity.High, 2, 3), Assert.Single(summary.TimeToFix));
        Assert.Empty(summary.Movers);
    }

    [Fact]
    public async Task A_report_and_a_change_of_status_show_at_once_and_to_their_tenant_only()
    {
        using var client = await host.OperatorAsync("live");
        using var other = await host.OperatorAsync("live-not");
        await client.ImportAsync("trivy", "shop-api", await File.ReadAllBytesAsync(VulnCenterCalls.Fixture("trivy-shop-api.json"), TestContext.Current.CancellationToken));
        var findings = (await client.FindingsAsync("?limit=500")).Items;
        var summary = await SummaryOfAsync(client, service: null);

        Assert.Equal((findings.Count, findings.Count), ((int)summary.Open, (int)summary.Weeks[^1].Opened));
        Assert.Equal(findings.GroupBy(f => FindingFilter.KebabCase(f.Severity)).Select(f => KeyValuePair.Create(f.Key, (long)f.Count())).OrderBy(f => f.Key), Assert.Single(summary.Services).BySeverity.OrderBy(f => f.Key));
        Assert.Equal(new ServiceMove("shop-api", findings.Count, 0), Assert.Single(summary.Movers));

        foreach (var status in (string[])["triaged", "fixed"])
        {
            var finding = await client.FindingAsync(findings[0].Id);
            using var moved = await client.MoveAsync(finding.Finding.Id, new { status, reason = "done" }, $"\"{finding.Finding.Version}\"");
            Assert.Equal(HttpStatusCode.OK, moved.StatusCode);
        }

        summary = await SummaryOfAsync(client, service: null);
        Assert.Equal((findings.Count - 1, 1), ((int)summary.Open, (int)summary.Weeks[^1].Closed));
        Assert.Equal((0, 0, 0), ((int)(await SummaryOfAsync(other, service: null)).Open, (await SummaryOfAsync(other, service: null)).ServiceCount, (await SummaryOfAsync(other, "shop-api")).Services.Count));
    }

    [Fact]
    public async Task Writers_do_not_wait_for_each_other_and_no_count_is_lost()
    {
        const string tenant = "parallel";
        var backlog = host.Module.Services.GetRequiredService<BacklogQueries>();
        List<SeededFinding> findings = [.. Enumerable.Range(0, 40).Select(i => new SeededFinding { Service = $"service-{i % 2}" })];
        await SeededFinding.InsertAsync(host.Database, tenant, findings);
        await Task.WhenAll(
        [
            .. findings.Select(finding => ChangeAsync(tenant, $"update vuln_center.finding set status = 3 where tenant = $1 and id = '{finding.Id}'")),
            .. Enumerable.Range(0, 8).Select(_ => backlog.FoldAsync(TestContext.Current.CancellationToken)),
        ]);
        await backlog.FoldAsync(TestContext.Current.CancellationToken);

        using var client = await host.OperatorAsync(tenant);
        Assert.Equal(0, (await SummaryOfAsync(client, service: null)).Open);
        Assert.Equal(40, (await client.FindingsAsync("?facets=true")).Facets?["status"]["fixed"]);
        Assert.Equal(2, await host.ScalarAsync<long>("select count(*) from vuln_center.finding_count where tenant = $1", tenant));
    }

    [Theory]
    [InlineData("", null, "application/json")]
    [InlineData("", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html")]
    [InlineData("", "application/json, text/html;q=0.5", "application/json")]
    [InlineData("", "*/*", "application/json")]
    [InlineData("?format=html", "application/json", "text/html")]
    [InlineData("?format=json", "text/html", "application/json")]
    public async Task The_form_is_the_one_that_is_asked_for(string query, string? accept, string expected)
    {
        using var client = await host.OperatorAsync("forms");
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/findings/summary{query}");
        if (accept is not null)
        {
            request.Headers.TryAddWithoutValidation("Accept", accept);
        }

        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.OK, expected), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
        Assert.True(answer.Headers.CacheControl?.Private);
    }

    [Fact]
    public async Task An_unchanged_summary_is_not_sent_again()
    {
        using var client = await host.OperatorAsync("tags");
        foreach (var format in (string[])["json", "html"])
        {
            using var first = await client.GetAsync(new Uri($"/findings/summary?format={format}", UriKind.Relative), TestContext.Current.CancellationToken);
            var tag = first.Headers.ETag ?? throw new InvalidOperationException("No entity tag.");
            Assert.Equal(HttpStatusCode.NotModified, await StatusAsync(format, tag.ToString()));
            await SeededFinding.InsertAsync(host.Database, "tags", [new SeededFinding()]);
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(format, tag.ToString()));
        }

        async Task<HttpStatusCode> StatusAsync(string format, string tag)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"/findings/summary?format={format}");
            request.Headers.TryAddWithoutValidation("If-None-Match", tag);
            using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
            return answer.StatusCode;
        }
    }

    [Theory]
    [InlineData("format=pdf", "?format")]
    [InlineData("severity=high", "?severity")]
    [InlineData("service=a&service=b", "?service")]
    public async Task A_parameter_that_cannot_be_is_a_400_that_names_it(string query, string pointer)
    {
        using var client = await host.OperatorAsync("bad-summary");
        using var answer = await client.GetAsync(new Uri($"/findings/summary?{query}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var errors = (await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken)).GetProperty("errors");
        Assert.Equal(pointer, Assert.Single(errors.EnumerateArray()).GetProperty("pointer").GetString());
    }

    [Fact]
    public async Task The_page_encodes_hostile_names_runs_nothing_and_loads_nothing()
    {
        const string hostile = "</style><script>alert(1)</script>\"onload='x'&amp;\u202e";
        await SeededFinding.InsertAsync(host.Database, "hostile", [new SeededFinding { Service = hostile }, new SeededFinding { Service = new string('x', 5_000) }]);
        using var client = await host.OperatorAsync("hostile");
        foreach (var query in (string[])["", $"&service={Uri.EscapeDataString(hostile)}"])
        {
            using var answer = await client.GetAsync(new Uri($"/findings/summary?format=html{query}", UriKind.Relative), TestContext.Current.CancellationToken);
            var page = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);

            Assert.Contains(WebUtility.HtmlEncode(hostile), page, StringComparison.Ordinal);
            Assert.DoesNotContain(hostile, page, StringComparison.Ordinal);
            Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain(" style=", page, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("http", page, StringComparison.OrdinalIgnoreCase);
            var policy = Assert.Single(answer.Headers.GetValues("Content-Security-Policy"));
            Assert.StartsWith("default-src 'none'; style-src 'sha256-", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            var style = page[(page.IndexOf("<style>", StringComparison.Ordinal) + 7)..page.IndexOf("</style>", StringComparison.Ordinal)];
            Assert.Contains(Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(style))), policy, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Without_findings_the_page_says_so()
    {
        using var client = await host.OperatorAsync("nothing");
        var page = await client.GetStringAsync(new Uri("/findings/summary?format=html", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Contains("Nothing is open.", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<svg", page, StringComparison.Ordinal);
    }

    private async Task ChangeAsync(string tenant, string sql)
    {
        await using var connection = new Npgsql.NpgsqlConnection(host.Database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new Npgsql.NpgsqlCommand(sql, connection);
        command.Parameters.Add(new Npgsql.NpgsqlParameter<string> { TypedValue = tenant });
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    private static async Task<FindingSummary> SummaryOfAsync(HttpClient client, string? service) =>
        await new VulnCenterClient(client).SummaryAsync(service, TestContext.Current.CancellationToken);

    private static string Counted(FindingSummary summary)
    {
        var lines = summary.Services.SelectMany(service => service.BySeverity.Select(count => Line($"{service.Service}/{count.Key}", count.Value)))
            .Concat(summary.Aging.SelectMany(bucket => bucket.BySeverity.Select(count => Line($"{bucket.Days}/{count.Key}", count.Value))))
            .Concat(summary.Sla.Where(count => count.Value > 0).Select(count => Line($"sla/{count.Key}", count.Value)));
        return string.Join('\n', lines.Append(Line("kev", summary.KnownExploited)).Append(Line("suppressed", summary.Suppressed)).Order(StringComparer.Ordinal));
    }

    private static string Line(string name, long count) => string.Create(CultureInfo.InvariantCulture, $"{name} {count}");

    /// <summary>From the findings themselves, in plain C#.</summary>
    private async Task<string> RecountAsync(string tenant, string? service)
    {
        await using var connection = new Npgsql.NpgsqlConnection(host.Database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new Npgsql.NpgsqlCommand(
            "select service, severity, status, first_seen, suppression is not null, kev, sla_policy is not null, sla_paused_at is not null, sla_warned_at is not null, sla_breached_at is not null from vuln_center.finding where tenant = $1", connection);
        command.Parameters.Add(new Npgsql.NpgsqlParameter<string> { TypedValue = tenant });
        Dictionary<string, long> counts = new(StringComparer.Ordinal) { ["kev"] = 0, ["suppressed"] = 0 };
        await using var row = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        while (await row.ReadAsync(TestContext.Current.CancellationToken))
        {
            if (service is not null && row.GetString(0) != service)
            {
                continue;
            }

            var severity = ((Severity)row.GetInt16(1)).ToString().ToLowerInvariant();
            var live = row.GetInt16(2) <= 2;
            var suppressed = row.GetBoolean(4);
            var (policy, paused, warned, breached) = (row.GetBoolean(6), row.GetBoolean(7), row.GetBoolean(8), row.GetBoolean(9));
            if (live)
            {
                Add(!policy ? "sla/none" : paused ? "sla/paused" : breached ? "sla/breached" : warned ? "sla/warned" : "sla/running");
            }
            else if (policy)
            {
                Add(breached ? "sla/missed" : "sla/met");
            }

            if (live && suppressed)
            {
                Add("suppressed");
            }
            else if (live)
            {
                Add($"{row.GetString(0)}/{severity}");
                var days = (DateTime.UtcNow.Date - row.GetFieldValue<DateTimeOffset>(3).UtcDateTime.Date).Days;
                Add($"{(days <= 7 ? "0-7" : days <= 30 ? "8-30" : days <= 90 ? "31-90" : "90+")}/{severity}");
                if (row.GetBoolean(5))
                {
                    Add("kev");
                }
            }
        }

        return string.Join('\n', counts.Select(count => Line(count.Key, count.Value)).Order(StringComparer.Ordinal));

        void Add(string name) => counts[name] = counts.GetValueOrDefault(name) + 1;
    }
}
