using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class TextFixtureTests
{
    [Theory]
    [MemberData(nameof(TextReports.Xml), MemberType = typeof(TextReports))]
    public async Task A_pointer_leads_to_the_element_whose_bytes_begin_at_the_offset(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        var document = TextReports.Parse(bytes);

        foreach (var (pointer, offset) in (await Reports.ReadAsync(format, bytes)).Select(PlaceOf).OfType<(string, long)>())
        {
            var element = TextReports.Resolve(document, pointer);
            Assert.Equal(element.Name.LocalName, NameAt(Encoding.Latin1.GetString(bytes), (int)offset));
            Assert.Equal(offset, OffsetOf(bytes, document, element));
        }
    }

    [Theory]
    [MemberData(nameof(TextReports.Xml), MemberType = typeof(TextReports))]
    public async Task The_payload_hash_is_taken_of_the_raw_element_as_it_stands(string format, string file)
    {
        var bytes = Reports.Bytes(file);

        var observations = await Reports.ObservationsAsync(format, bytes);

        Assert.All(observations, observation =>
        {
            // What a CycloneDX vulnerability affects is hashed with all that is said of the vulnerability.
            var pointer = observation.Pointer.Split("/affects")[0];
            var name = TextReports.Resolve(TextReports.Parse(bytes), pointer).Name.LocalName;
            var start = observation.Pointer == pointer ? (int)observation.Offset : bytes.AsSpan(0, (int)observation.Offset).LastIndexOf(Encoding.ASCII.GetBytes($"<{name}"));
            var end = Regex.Match(Encoding.Latin1.GetString(bytes[start..]), $"</(\\w+:)?{name}>", RegexOptions.None, TimeSpan.FromSeconds(1)) is { Success: true } tag ? start + tag.Index + tag.Length : start;
            Assert.Equal(Sha256Digest.Of(bytes.AsSpan(start, end - start)), observation.PayloadHash);
        });
    }

    [Theory]
    [InlineData("nessus-shop-net.csv")]
    [InlineData("nessus-tenable-io.csv")]
    public async Task A_record_of_CSV_is_hashed_from_its_offset_to_its_end(string file)
    {
        var bytes = Reports.Bytes(file);

        var observations = await Reports.ObservationsAsync("nessus", bytes);

        Assert.All(observations, observation => Assert.Contains(
            observation.PayloadHash,
            Enumerable.Range((int)observation.Offset + 1, bytes.Length - (int)observation.Offset).Select(end => Sha256Digest.Of(bytes.AsSpan((int)observation.Offset..end)))));
        Assert.Equal(observations.Count, observations.Select(observation => observation.Offset).Distinct().Count());
    }

    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task A_report_that_arrives_byte_by_byte_reads_the_same(string format, string file)
    {
        var bytes = Reports.Bytes(file);

        var whole = await Reports.ReadAsync(format, bytes);
        var dripped = await Reports.ReadAsync(format, new DripStream(bytes));

        Assert.Equal(whole.Select(JsonOf), dripped.Select(JsonOf));
    }

    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task A_report_is_recognised_by_its_own_format_alone(string format, string file)
    {
        using var dripped = new DripStream(Reports.Bytes(file));

        var detected = await ReportFormats.DetectAsync(dripped, Reports.Context, TestContext.Current.CancellationToken);

        Assert.Equal([format], detected.Candidates.Select(candidate => candidate.Name));
    }

    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task A_report_of_another_format_is_refused_by_every_format(string format, string file)
    {
        foreach (var other in ReportFormats.All.Where(other => other.Name != format))
        {
            var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync(other.Name, Reports.Bytes(file)));
            Assert.True(refused.Code is ReportFormatException.Foreign or ReportFormatException.WrongType or ReportFormatException.Malformed, $"{file} as {other.Name}: {refused.Code}");
        }
    }

    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task A_byte_order_mark_is_skipped_and_counted_in_the_offsets(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        if (bytes is [0xEF, ..])
            bytes = bytes[3..];
        // A mark says that it is UTF-8, whatever the declaration says.
        var plain = await Reports.ObservationsAsync(format, bytes);
        var marked = await Reports.ObservationsAsync(format, [0xEF, 0xBB, 0xBF, .. bytes]);

        Assert.Equal(plain.Select(o => (o.Pointer, o.Offset + 3, o.PayloadHash)), marked.Select(o => (o.Pointer, o.Offset, o.PayloadHash)));
    }

    [Fact]
    public async Task Dast_results_of_one_place_are_one_finding_whatever_the_ids_in_their_paths()
    {
        foreach (var (format, file) in new[] { ("zap", "zap-shop-web.xml"), ("burp", "burp-shop-web.xml") })
        {
            var injections = (await Reports.ObservationsAsync(format, Reports.Bytes(file))).Where(o => o.Title == "SQL Injection" || o.Title == "SQL injection").ToList();
            Assert.Equal(BestKey(format, injections[0]), BestKey(format, injections[1]));
            Assert.Equal(("GET", "shop.example", "/orders/{id}/items"), (injections[0].Web?.Method, injections[0].Web?.Host, injections[0].Web?.PathTemplate));
        }
    }

    [Fact]
    public async Task Checks_of_one_plugin_of_ZAP_are_told_apart()
    {
        var policies = (await Reports.ObservationsAsync("zap", Reports.Bytes("zap-shop-web.xml"))).Where(o => o.Cwes.Contains(693) && o.Web?.PathTemplate == "/").ToList();

        Assert.Equal(["10055-4", "10055-6"], policies.Select(o => o.RuleId));
    }

    [Fact]
    public async Task What_stands_after_the_instances_of_an_alert_belongs_to_each()
    {
        var first = (await Reports.ObservationsAsync("zap", Reports.Bytes("zap-shop-web.xml")))[0];

        Assert.Equal([89], first.Cwes);
        Assert.Equal(Severity.High, first.Severity);
        Assert.Equal(["https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html"], first.References);
        Assert.Equal("sort", first.Web?.Parameter);
    }

    [Fact]
    public async Task A_Nessus_finding_is_plugin_host_port_and_protocol_in_XML_and_CSV_alike()
    {
        var xml = await Reports.ObservationsAsync("nessus", Reports.Bytes("nessus-shop-net.nessus"));
        var csv = await Reports.ObservationsAsync("nessus", Reports.Bytes("nessus-shop-net.csv"));

        Assert.Equal(
            [
                ("19506", "10.0.20.5:0/tcp"), ("97861", "10.0.20.5:443/tcp"), ("97861", "10.0.20.5:8443/tcp"), ("21157:1f0b2c6de3", "10.0.20.5:0/tcp"),
                ("21157:77aa01b9c2", "10.0.20.5:0/tcp"), ("41028", "[fe80::20d:3aff:fe45:647f]:161/udp"),
            ],
            xml.Select(o => (o.RuleId, o.Resource)));
        Assert.Equal(BestKey("nessus", xml[1]), BestKey("nessus", csv[0]));
        Assert.Equal(6, xml.Select(o => BestKey("nessus", o)).Distinct().Count());
    }

    [Fact]
    public async Task Records_of_one_plugin_for_several_CVEs_are_one_finding_with_all_of_them()
    {
        var records = (await Reports.ObservationsAsync("nessus", Reports.Bytes("nessus-shop-net.csv"))).Where(o => o.RuleId == "97861").ToList();

        Assert.Equal(2, records.Count);
        Assert.Single(records.Select(o => BestKey("nessus", o)).Distinct());
        Assert.All(records, o => Assert.Equal(["CVE-2022-0778", "CVE-2022-1292"], o.Identifiers.Select(id => id.Value)));
    }

    [Fact]
    public async Task Nessus_vectors_of_every_version_are_taken()
    {
        var openSsl = (await Reports.ObservationsAsync("nessus", Reports.Bytes("nessus-shop-net.nessus")))[1];

        Assert.Equal([("4.0", 8.7m), ("3.0", 7.5m), ("2.0", 5.0m)], openSsl.Cvss.Select(cvss => (cvss.Version, cvss.Score ?? 0)));
        Assert.Equal("AV:N/AC:L/Au:N/C:N/I:N/A:P", openSsl.Cvss[2].Vector);
        Assert.Equal(["https://www.openssl.org/news/secadv/20220315.txt", "https://cve.example/CVE-2022-0778"], openSsl.References);
        Assert.Equal([835], openSsl.Cwes);
    }

    [Theory]
    [InlineData("nessus", "nessus-shop-net.nessus", "fake-community-string")]
    [InlineData("nessus", "nessus-shop-net.nessus", "Scan duration")]
    [InlineData("nessus", "nessus-shop-net.csv", "fake-community-string")]
    [InlineData("zap", "zap-shop-web.xml", "fake-4f9a0c7b2e1d")]
    [InlineData("zap", "zap-shop-web.xml", "error in your SQL syntax")]
    [InlineData("burp", "burp-shop-web.xml", "SFRUUC8xLjEgNTAw")]
    [InlineData("burp", "burp-shop-web.xml", "R0VUIC9vcmRlcnMv")]
    public async Task What_the_scanner_read_from_the_target_is_not_kept(string format, string file, string part)
    {
        var bytes = Reports.Bytes(file);
        Assert.Contains(part, Encoding.UTF8.GetString(bytes), StringComparison.Ordinal);

        Assert.DoesNotContain(part, JsonSerializer.Serialize<IEnumerable<object>>(await Reports.ReadAsync(format, bytes)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_without_an_end_says_that_the_scan_did_not_finish()
    {
        var report = Encoding.UTF8.GetString(Reports.Bytes("nessus-shop-net.nessus"));
        var cut = report.Replace("<tag name=\"HOST_END\">Mon Nov  3 03:12:09 2025</tag>", "", StringComparison.Ordinal);

        var finished = Assert.Single((await Reports.ReadAsync("nessus", report)).OfType<ReportItem.ScannerSeen>());
        var stopped = Assert.Single((await Reports.ReadAsync("nessus", cut)).OfType<ReportItem.ScannerSeen>());

        Assert.Null(finished.Failure);
        Assert.Equal("The scan of FE80::20D:3AFF:FE45:647F has no end (HOST_END).", stopped.Failure);
    }

    [Fact]
    public async Task A_dependency_is_known_by_its_package_url_by_Maven_coordinates_or_by_its_file()
    {
        var now = await Reports.ObservationsAsync("dependency-check", Reports.Bytes("dependency-check-shop-api.xml"));
        var then = await Reports.ObservationsAsync("dependency-check", Reports.Bytes("dependency-check-1.3.xml"));

        Assert.Equal(
            [
                ("pkg:maven/org.apache.logging.log4j/log4j-core", "log4j-core-2.14.1.jar"), ("pkg:maven/org.apache.logging.log4j/log4j-core", "log4j-core-2.14.1.jar"),
                ("pkg:npm/minimist", "package-lock.json?/minimist:1.2.5"), (null, "jquery-3.4.1.min.js"), ("pkg:maven/dom4j/dom4j", "dom4j-1.6.1.jar"),
            ],
            now.Concat(then).Select(o => (o.Component?.PurlWithoutVersion, o.Manifest)));
        Assert.Equal("jquery-3.4.1.min.js", now[3].Component?.Name);
        Assert.Equal(("1.6.1", "XML injection in dom4j: größer als erwartet"), (then[0].Component?.Version, then[0].Description));
    }

    [Fact]
    public async Task Vectors_of_Dependency_Check_are_put_together_from_words_and_from_letters()
    {
        var observations = await Reports.ObservationsAsync("dependency-check", Reports.Bytes("dependency-check-shop-api.xml"));
        var old = Assert.Single(await Reports.ObservationsAsync("dependency-check", Reports.Bytes("dependency-check-1.3.xml")));

        Assert.Equal(["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "AV:N/AC:M/Au:N/C:C/I:C/A:C"], observations[0].Cvss.Select(cvss => cvss.Vector));
        Assert.Equal(["CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H"], observations[1].Cvss.Select(cvss => cvss.Vector));
        Assert.Equal(["AV:N/AC:L/Au:N/C:N/I:P/A:P"], old.Cvss.Select(cvss => cvss.Vector));
    }

    [Fact]
    public async Task An_upgrade_that_is_still_vulnerable_is_the_same_finding()
    {
        var report = Encoding.UTF8.GetString(Reports.Bytes("dependency-check-shop-api.xml"));

        var before = (await Reports.ObservationsAsync("dependency-check", report))[0];
        var after = (await Reports.ObservationsAsync("dependency-check", report.Replace("2.14.1", "2.15.0", StringComparison.Ordinal)))[0];

        Assert.NotEqual(before.Manifest, after.Manifest);
        Assert.Equal(BestKey("dependency-check", before), BestKey("dependency-check", after));
    }

    [Fact]
    public async Task Rejections_say_why_in_the_words_of_the_report()
    {
        var suppressed = (await Reports.ReadAsync("dependency-check", Reports.Bytes("dependency-check-shop-api.xml"))).OfType<ReportItem.Rejected>().First();

        Assert.Equal((RejectionCodes.NotAProblem, "Suppressed in Dependency-Check: No context lookups in our layouts, see SEC-311."), (suppressed.Code, suppressed.Reason));
        Assert.Equal("/analysis/dependencies[1]/dependency[1]/vulnerabilities[1]/suppressedVulnerability[1]", suppressed.Pointer);
    }

    [Fact]
    public async Task A_BOM_says_the_same_in_XML_as_in_JSON()
    {
        var json = await Reports.ReadAsync("cyclonedx", Reports.Bytes("cyclonedx-shop-api.json"));
        var xml = await Reports.ReadAsync("cyclonedx", Reports.Bytes("cyclonedx-shop-api.xml"));

        Assert.Equal(json.Select(WithoutPlace), xml.Select(WithoutPlace));
    }

    [Fact]
    public async Task Vulnerabilities_of_the_extension_belong_to_the_component_they_stand_in_or_name()
    {
        var observations = await Reports.ObservationsAsync("cyclonedx", Reports.Bytes("cyclonedx-1.2-extension.xml"));

        Assert.Equal([("CVE-2021-44906", "minimist", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), ("CVE-2024-29041", "express", "")],
            observations.Select(o => (o.RuleId, o.Component?.Name ?? "", o.Cvss.Select(cvss => cvss.Vector).FirstOrDefault() ?? "")));
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("\r")]
    public async Task Line_ends_of_any_kind_leave_places_where_they_are(string end)
    {
        foreach (var (format, file) in TextReports.Good.Where(report => report.File.EndsWith(".xml", StringComparison.Ordinal) && !report.File.Contains("1.3", StringComparison.Ordinal)))
        {
            var report = Encoding.UTF8.GetString(Reports.Bytes(file)).Replace("\n", end, StringComparison.Ordinal);
            var bytes = Encoding.UTF8.GetBytes(report);
            var document = TextReports.Parse(bytes);
            foreach (var (pointer, offset) in (await Reports.ReadAsync(format, bytes)).Select(PlaceOf).OfType<(string, long)>())
                Assert.Equal(TextReports.Resolve(document, pointer).Name.LocalName, NameAt(report, (int)offset));
        }
    }

    static string NameAt(string report, int offset)
    {
        Assert.Equal('<', report[offset]);
        var tag = report[(offset + 1)..report.IndexOfAny(['>', ' ', '/', '\r', '\n'], offset)];
        return tag[(tag.IndexOf(':', StringComparison.Ordinal) + 1)..];
    }

    static (string, long)? PlaceOf(ReportItem item) => item switch
    {
        ReportItem.Observed { Observation: var observation } => (observation.Pointer, observation.Offset),
        ReportItem.Rejected rejected => (rejected.Pointer, rejected.Offset),
        _ => null,
    };

    // The n-th tag that begins like this one, counted as another reader does.
    static long OffsetOf(byte[] report, XDocument document, XElement element)
    {
        var prefix = element.GetPrefixOfNamespace(element.Name.Namespace) is { } named ? $"{named}:" : "";
        var tag = Encoding.ASCII.GetBytes($"<{prefix}{element.Name.LocalName}");
        var before = document.Descendants().TakeWhile(other => other != element)
            .Count(other => other.Name.Namespace == element.Name.Namespace && other.Name.LocalName.StartsWith(element.Name.LocalName, StringComparison.Ordinal));
        var at = -1;
        for (var i = 0; i <= before; i++)
            at = report.AsSpan(at + 1).IndexOf(tag) + at + 1;
        return at;
    }

    static Sha256Digest BestKey(string source, RawObservation observation) => DedupKeys.KeysOf(observation, SourceRules.Default(source))[0].Hash;

    static string JsonOf(ReportItem item) => JsonSerializer.Serialize<object>(item);

    static string WithoutPlace(ReportItem item) => JsonOf(item switch
    {
        ReportItem.Observed { Observation: var observation } => new ReportItem.Observed(observation with { Pointer = "", Offset = 0, PayloadHash = default }),
        ReportItem.Rejected rejected => rejected with { Pointer = "", Offset = 0, About = rejected.About is { } about ? about with { Pointer = "", Offset = 0, PayloadHash = default } : null },
        var other => other,
    });
}
