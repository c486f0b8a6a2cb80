using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class HostileTextTests
{
    static readonly string[] Replacements =
        ["", " ", "&#0;", "&#xB;", "&#xD800;", "&#xFFFE;", "-1", "1e400", "99999999999999999999", "CVSS:3.1/", "<a/>", "<a><b>c</b></a>", "<![CDATA[<x>]]>", "&lt;p&gt;", "\u0000", "\u000b", "http://", "/", ":"];

    [Theory]
    [MemberData(nameof(TextReports.Xml), MemberType = typeof(TextReports))]
    public async Task XML_cut_off_anywhere_is_refused_with_the_place_and_yields_nothing(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        var end = bytes.AsSpan().LastIndexOf((byte)'>');

        for (var length = 0; length <= end; length += length < 600 ? 1 : 7)
        {
            var yielded = 0;
            var reader = ReportFormats.Find(format);
            Assert.NotNull(reader);
            var refused = await Assert.ThrowsAsync<ReportFormatException>(async () =>
            {
                await foreach (var _ in reader.ReadAsync(new MemoryStream(bytes, 0, length), Reports.Context, TestContext.Current.CancellationToken))
                    yielded++;
            });
            Assert.Equal((length == 0 ? ReportFormatException.Empty : ReportFormatException.Truncated, length), (refused.Code, refused.ByteOffset));
            Assert.Equal(bytes.AsSpan(0, length).Count((byte)'\n') + 1, refused.Line);
            Assert.Equal(0, yielded);
        }
    }

    [Fact]
    public async Task CSV_cut_off_within_a_record_is_refused_with_the_place_and_yields_nothing()
    {
        var bytes = Reports.Bytes("nessus-shop-net.csv");
        var whole = (await Reports.ReadAsync("nessus", bytes)).Count;
        var refusals = 0;

        for (var length = 0; length < bytes.Length; length++)
        {
            try
            {
                var items = await Reports.ReadAsync("nessus", bytes[..length]);
                // Cut within the header there is nothing, which is marked; else a record was whole, but for empty fields at its end.
                var isMarked = items is [ReportItem.ScannerSeen { Failure: not null }];
                Assert.True(isMarked || (items.Count <= whole && bytes[length - 1] is (byte)'"' or (byte)'\n' or (byte)','), $"Cut at {length}.");
            }
            catch (ReportFormatException refused)
            {
                Assert.True(refused.Code is ReportFormatException.Truncated or ReportFormatException.Empty or ReportFormatException.Foreign, $"{length}: {refused.Code}");
                Assert.True(refused.Code != ReportFormatException.Truncated || refused.ByteOffset == length, $"{length}: {refused.ByteOffset}");
                refusals++;
            }
        }

        Assert.True(refusals > bytes.Length * 9 / 10, $"{refusals} of {bytes.Length}");
    }

    [Theory]
    [MemberData(nameof(TextReports.Xml), MemberType = typeof(TextReports))]
    public async Task Any_text_replaced_by_anything_is_observed_rejected_or_refused(string format, string file)
    {
        var document = TextReports.Parse(Reports.Bytes(file));
        var places = document.Descendants().Where(element => !element.HasElements).DistinctBy(PathOf).ToList();

        foreach (var element in places)
        {
            foreach (var replacement in Replacements)
            {
                var value = element.Value;
                element.Value = "@value@";
                var mutant = document.ToString(SaveOptions.DisableFormatting).Replace("@value@", replacement, StringComparison.Ordinal);
                element.Value = value;
                await ReadsOrRefusesAsync(format, Encoding.UTF8.GetBytes(mutant));
            }
        }
        foreach (var attribute in document.Descendants().SelectMany(element => element.Attributes()).Where(a => !a.IsNamespaceDeclaration).DistinctBy(a => PathOf(a.Parent) + a.Name))
        {
            foreach (var replacement in Replacements.Where(text => !text.Contains('<', StringComparison.Ordinal)))
            {
                var value = attribute.Value;
                attribute.Value = "@value@";
                var mutant = document.ToString(SaveOptions.DisableFormatting).Replace("@value@", replacement, StringComparison.Ordinal);
                attribute.Value = value;
                await ReadsOrRefusesAsync(format, Encoding.UTF8.GetBytes(mutant));
            }
        }
        foreach (var element in document.Descendants().Where(element => element.Parent is not null).DistinctBy(PathOf).ToList())
        {
            var (parent, next) = (element.Parent, element.NextNode);
            element.Remove();
            await ReadsOrRefusesAsync(format, Encoding.UTF8.GetBytes(document.ToString(SaveOptions.DisableFormatting)));
            if (next is null)
                parent?.Add(element);
            else
                next.AddBeforeSelf(element);
        }
    }

    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task Bytes_flipped_anywhere_are_observed_rejected_or_refused(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        var random = new Random(16);

        for (var i = 0; i < 1_500; i++)
        {
            var mutant = bytes.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
                mutant[random.Next(mutant.Length)] = (byte)random.Next(256);
            await ReadsOrRefusesAsync(format, mutant);
        }
    }

    [Fact]
    public async Task A_DOCTYPE_is_passed_over_and_nothing_is_fetched()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var url = $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/x.dtd";

        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", $"""
            <?xml version="1.0"?>
            <!DOCTYPE NessusClientData_v2 PUBLIC "-//x//y" "{url}" [ <!ENTITY % remote SYSTEM "{url}"> %remote; <!ENTITY file SYSTEM "file:///etc/passwd"> <!ATTLIST ReportItem pluginName CDATA "default"> ]>
            {TextReports.Nessus("""<ReportItem port="1" protocol="tcp" severity="1" pluginID="7"/>""")}
            """));

        Assert.Equal("7", observation.Title);
        Assert.False(listener.Pending());
    }

    [Theory]
    [InlineData("""<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>""")]
    [InlineData("""<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY x "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>""")]
    [InlineData("""<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd">""")]
    [InlineData("")]
    public async Task An_entity_of_the_documents_own_is_refused_where_it_stands(string doctype)
    {
        var report = $"{doctype}{TextReports.Nessus(TextReports.Item("1"), TextReports.Item("2", "<synopsis>&x;</synopsis>"))}";

        var refused = await Reports.RefusedAsync("nessus", report);

        Assert.Equal((ReportFormatException.Entity, report.IndexOf("&x;</", StringComparison.Ordinal) + 1L), (refused.Code, refused.ByteOffset));
        Assert.Equal("/NessusClientData_v2/Report[1]/ReportHost[1]/ReportItem[2]", refused.Pointer);
    }

    [Fact]
    public async Task An_entity_in_an_attribute_is_refused_too() => Assert.Equal(
        ReportFormatException.Entity, (await Reports.RefusedAsync("nessus", TextReports.Nessus(TextReports.Item("1", attributes: " x=\"&y;\"")))).Code);

    [Theory]
    [InlineData("a&#0;b", "a\uFFFDb")]
    [InlineData("a&#xB;b", "a\uFFFDb")]
    [InlineData("a\u0001b", "a\uFFFDb")]
    [InlineData("a\u0000b", "a\uFFFDb")]
    [InlineData("a&#xFFFF;b", "a\uFFFDb")]
    [InlineData("a&amp;&#65;&#x1F600;", "a&A\U0001F600")]
    [InlineData("a]]&gt;b", "a]]>b")]
    public async Task What_XML_does_not_allow_arrives_as_the_replacement_character(string text, string expected)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", TextReports.Nessus(
            $"""<ReportItem port="1" protocol="tcp" severity="1" pluginID="7" pluginName="{text}"><synopsis>{text}</synopsis></ReportItem>""")));

        Assert.Equal((expected, expected), (observation.Title, observation.Description));
    }

    [Theory]
    [InlineData("&#xD800;")]
    [InlineData("&#x110000;")]
    [InlineData("&#;")]
    [InlineData("&;")]
    public async Task A_character_reference_to_no_character_is_replaced_or_refused(string reference)
    {
        try
        {
            var items = await Reports.ObservationsAsync("nessus", TextReports.Nessus(TextReports.Item("1", $"<synopsis>{reference}</synopsis>")));
            Assert.Equal("\uFFFD", Assert.Single(items).Description);
        }
        catch (ReportFormatException refused)
        {
            Assert.True(refused.Code is ReportFormatException.Malformed or ReportFormatException.Entity, refused.Code);
        }
    }

    [Fact]
    public async Task Invalid_UTF_8_arrives_as_the_replacement_character_is_hashed_as_it_stood_and_moves_no_offset()
    {
        var report = Encoding.Latin1.GetBytes(TextReports.Nessus(TextReports.Item("1", "<synopsis>a\u00FFb \u00C3</synopsis>"), TextReports.Item("2")));
        var other = report.ToArray();
        other[Array.IndexOf(other, (byte)0xFF)] = 0xFE;

        var first = await Reports.ObservationsAsync("nessus", report);
        var second = await Reports.ObservationsAsync("nessus", other);

        Assert.Equal("a\uFFFDb \uFFFD", first[0].Description);
        Assert.NotEqual(first[0].PayloadHash, second[0].PayloadHash);
        Assert.Equal(Encoding.Latin1.GetString(report).LastIndexOf("<ReportItem", StringComparison.Ordinal), first[1].Offset);
    }

    [Theory]
    [InlineData("utf-8")]
    [InlineData("utf-16")]
    [InlineData("utf-16BE")]
    [InlineData("iso-8859-1")]
    [InlineData("us-ascii")]
    public async Task Encodings_that_say_what_they_are_are_read_and_offsets_count_bytes(string name)
    {
        var encoding = Encoding.GetEncoding(name);
        var text = name == "us-ascii" ? "size" : "größe";
        var report = TextReports.Encode(TextReports.Nessus(TextReports.Item("1", $"<synopsis>{text}</synopsis>"), TextReports.Item("2")), encoding);

        var observations = await Reports.ObservationsAsync("nessus", report);

        Assert.Equal(text, observations[0].Description);
        Assert.Equal(report.AsSpan().LastIndexOf(encoding.GetBytes("<ReportItem")), observations[1].Offset);
        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync("nessus", report[..^encoding.GetByteCount("/Report></NessusClientData_v2>")]));
        Assert.Equal((ReportFormatException.Truncated, report.Length - (long)encoding.GetByteCount("/Report></NessusClientData_v2>")), (refused.Code, refused.ByteOffset));
    }

    [Theory]
    [InlineData("utf-7")]
    [InlineData("UTF-16")]
    [InlineData("utf-32")]
    [InlineData("shift_jis")]
    [InlineData("IBM037")]
    [InlineData("no-such-encoding")]
    public async Task An_encoding_that_is_not_read_or_not_what_it_says_is_refused_by_name(string name)
    {
        var refused = await Reports.RefusedAsync("nessus", $"<?xml version=\"1.0\" encoding=\"{name}\"?>{TextReports.Nessus()}");

        Assert.Equal(ReportFormatException.Encoding, refused.Code);
        Assert.Contains(name, refused.Detail, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task UTF_7_in_disguise_is_no_markup()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", TextReports.Nessus(TextReports.Item("1", "<synopsis>+ADw-script+AD4-</synopsis>"))));

        Assert.Equal("+ADw-script+AD4-", observation.Description);
    }

    [Fact]
    public async Task UTF_32_is_refused_by_name() => Assert.Equal(ReportFormatException.Encoding, (await Assert.ThrowsAsync<ReportFormatException>(
        () => Reports.ReadAsync("nessus", TextReports.Encode(TextReports.Nessus(), Encoding.UTF32)))).Code);

    [Fact]
    public async Task Nesting_of_ten_thousand_levels_is_refused()
    {
        var nested = string.Concat(Enumerable.Repeat("<a>", 10_000)) + string.Concat(Enumerable.Repeat("</a>", 10_000));

        var inResult = await Reports.RefusedAsync("nessus", TextReports.Nessus(TextReports.Item("1", nested)));
        var elsewhere = await Reports.RefusedAsync("nessus", $"<NessusClientData_v2>{nested}</NessusClientData_v2>");

        Assert.Equal((ReportFormatException.TooDeep, ReportFormatException.TooDeep), (inResult.Code, elsewhere.Code));
        Assert.Equal("/NessusClientData_v2/Report[1]/ReportHost[1]/ReportItem[1]", inResult.Pointer);
    }

    [Fact]
    public async Task An_attribute_of_ten_megabytes_is_cut_where_people_read()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", TextReports.Nessus(
            $"""<ReportItem port="1" protocol="tcp" severity="1" pluginID="{new string('7', 10_000_000)}" pluginName="{new string('x', 3_000_000)}"/>""")));

        Assert.InRange(observation.Title.Length, Bounded.TitleLength - 50, Bounded.TitleLength);
        Assert.InRange(observation.RuleId.Length, 100, Bounded.IdentityLength);
    }

    [Fact]
    public async Task A_hundred_thousand_attributes_are_read_or_refused_in_seconds()
    {
        var clock = Stopwatch.StartNew();

        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", TextReports.Nessus(
            TextReports.Item("1", attributes: string.Concat(Enumerable.Range(0, 90_000).Select(i => $" a{i}=\"\""))))));
        var refused = await Reports.RefusedAsync("nessus", TextReports.Nessus(TextReports.Item("1", attributes: string.Concat(Enumerable.Range(0, 110_000).Select(i => $" a{i}=\"\"")))));

        Assert.Equal(("1", ReportFormatException.TooMany), (observation.RuleId, refused.Code));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{clock.Elapsed}");
    }

    [Theory]
    [InlineData("attribute")]
    [InlineData("text")]
    [InlineData("comment")]
    [InlineData("DTD")]
    [InlineData("text elsewhere")]
    public async Task A_single_value_over_the_limit_is_refused_wherever_it_stands(string where)
    {
        var context = Reports.Context with { MaxElementBytes = 1 << 20 };
        var huge = new string('x', 3 << 20);

        var refused = await Reports.RefusedAsync("nessus", where switch
        {
            "attribute" => TextReports.Nessus(TextReports.Item("1", attributes: $" x=\"{huge}\"")),
            "text" => TextReports.Nessus(TextReports.Item("1", $"<synopsis>{huge}</synopsis>")),
            "comment" => TextReports.Nessus($"<!--{huge}-->"),
            "DTD" => $"<!DOCTYPE NessusClientData_v2 [<!--{huge}-->]>{TextReports.Nessus()}",
            _ => $"<NessusClientData_v2><Policy>{huge}</Policy></NessusClientData_v2>",
        }, context);

        Assert.Equal(ReportFormatException.TooLarge, refused.Code);
    }

    [Fact]
    public async Task An_element_of_many_small_ones_over_the_limit_is_refused_with_its_pointer()
    {
        var refused = await Reports.RefusedAsync(
            "nessus", TextReports.Nessus(TextReports.Item("1"), TextReports.Item("2", string.Concat(Enumerable.Repeat("<cve>CVE-2024-1000</cve>", 60_000)))),
            Reports.Context with { MaxElementBytes = 1 << 20 });

        Assert.Equal((ReportFormatException.TooLarge, "/NessusClientData_v2/Report[1]/ReportHost[1]/ReportItem[2]"), (refused.Code, refused.Pointer));
    }

    [Fact]
    public async Task An_alert_of_more_than_the_limit_is_read_if_its_instances_are_small()
    {
        var instances = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"<instance><uri>https://a.example/{i}/p{i % 7}</uri><method>GET</method></instance>"));
        var report = $"""<OWASPZAPReport version="2"><site name="https://a.example" host="a.example"><alerts><alertitem><pluginid>1</pluginid><instances>{instances}</instances><cweid>79</cweid></alertitem></alerts></site></OWASPZAPReport>""";

        var items = await Reports.ReadAsync("zap", report, Reports.Context with { MaxElementBytes = 1 << 17 });

        Assert.Equal(20_001, items.Count);
        Assert.All(items.OfType<ReportItem.Observed>(), item => Assert.Equal([79], item.Observation.Cwes));
    }

    [Fact]
    public async Task More_results_than_allowed_are_refused()
    {
        var context = Reports.Context with { MaxElements = 100 };

        var xml = await Reports.RefusedAsync("nessus", TextReports.Nessus([.. Enumerable.Repeat(TextReports.Item("1"), 101)]), context);
        var csv = await Reports.RefusedAsync("nessus", TextReports.Csv([.. Enumerable.Repeat("1,,Low,h,tcp,1,n,s,d", 101)]), context);

        Assert.Equal((ReportFormatException.TooMany, ReportFormatException.TooMany), (xml.Code, csv.Code));
        Assert.Equal("/100", csv.Pointer);
    }

    [Theory]
    [InlineData("<NessusClientData_v2>\n <Report></report></NessusClientData_v2>", 2, 12)]
    [InlineData("<NessusClientData_v2 a='1' a='2'/>", 1, 28)]
    [InlineData("<NessusClientData_v2/>\n<b/>", 2, 2)]
    [InlineData("<NessusClientData_v2><p:x/></NessusClientData_v2>", 1, 23)]
    [InlineData("<NessusClientData_v2>\r\n<a b=c/></NessusClientData_v2>", 2, 6)]
    public async Task Malformed_XML_is_refused_with_line_and_column(string xml, long line, long column)
    {
        var refused = await Reports.RefusedAsync("nessus", xml);

        Assert.Equal((ReportFormatException.Malformed, line, column), (refused.Code, refused.Line, refused.Column));
    }

    [Theory]
    [InlineData("burp", "<issues/>")]
    [InlineData("burp", "<Issues burpVersion=\"1\"/>")]
    [InlineData("dependency-check", "<analysis/>")]
    [InlineData("cyclonedx", "<bom/>")]
    [InlineData("cyclonedx", "<bom xmlns=\"urn:other\"/>")]
    [InlineData("nessus", "<NessusClientData/>")]
    [InlineData("nessus", "a,b,c\n1,2,3\n")]
    [InlineData("zap", "<report/>")]
    [InlineData("burp", "{}")]
    [InlineData("burp", "issues")]
    public async Task What_does_not_say_it_is_this_format_is_refused(string format, string report) =>
        Assert.Equal(ReportFormatException.Foreign, (await Reports.RefusedAsync(format, report)).Code);

    [Theory]
    [InlineData("burp")]
    [InlineData("nessus")]
    public async Task An_empty_report_is_refused_as_empty(string format)
    {
        foreach (var report in new[] { "", " \r\n\t ", "\uFEFF" })
            Assert.Equal(ReportFormatException.Empty, (await Reports.RefusedAsync(format, report)).Code);
    }

    [Fact]
    public async Task Quotes_separators_and_line_ends_within_fields_of_CSV_are_theirs()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("nessus", TextReports.Csv("\"1\",\"\",\"High\",\"h\",\"tcp\",\"443\",\"a, \"\"b\"\"\",\"one\r\ntwo\",\"d\"")));

        Assert.Equal(("a, \"b\"", "one\r\ntwo\n\nd"), (observation.Title, observation.Description));
    }

    [Fact]
    public async Task A_record_with_too_few_fields_is_rejected_by_number_and_its_neighbours_are_read()
    {
        var items = await Reports.ReadAsync("nessus", TextReports.Csv("1,,Low,h,tcp,1,n,s,d", "2,,Low,h", "3,,Low,h,tcp,1,n,s,d"));

        Assert.Equal(["1", "3"], items.OfType<ReportItem.Observed>().Select(item => item.Observation.RuleId));
        var rejected = Assert.Single(items.OfType<ReportItem.Rejected>());
        Assert.Equal(("/1", "The record has 4 fields, the header 9."), (rejected.Pointer, rejected.Reason));
    }

    [Fact]
    public async Task A_field_of_CSV_over_the_limit_is_refused() => Assert.Equal(ReportFormatException.TooLarge, (await Reports.RefusedAsync(
        "nessus", TextReports.Csv($"1,,Low,h,tcp,1,n,\"{new string('x', 3 << 20)}\",d"), Reports.Context with { MaxElementBytes = 1 << 20 })).Code);

    [Fact]
    public async Task A_report_of_a_hundred_megabytes_streams_through_in_bounded_memory()
    {
        using var report = new RepeatedStream(
            "<NessusClientData_v2><Report name=\"r\"><ReportHost name=\"h\">"u8.ToArray(),
            Encoding.UTF8.GetBytes(TextReports.Item("1", $"<synopsis>{new string('s', 4_000)}</synopsis>")), 25_000, "</ReportHost></Report></NessusClientData_v2>"u8.ToArray());
        GC.Collect();
        var (before, most, count) = (GC.GetTotalMemory(forceFullCollection: true), 0L, 0);

        var reader = ReportFormats.Find("nessus");
        Assert.NotNull(reader);
        await foreach (var item in reader.ReadAsync(report, Reports.Context, TestContext.Current.CancellationToken))
        {
            if (count++ % 5_000 == 0)
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
        }

        Assert.Equal(25_001, count);
        Assert.InRange(most, 0, 16 << 20);
    }

    static async Task ReadsOrRefusesAsync(string format, byte[] report)
    {
        try
        {
            var items = await Reports.ReadAsync(format, report);
            Assert.Equal(items.OfType<ReportItem.ScannerSeen>().Sum(scan => scan.Results), items.Count(item => item is not ReportItem.ScannerSeen));
            foreach (var item in items.OfType<ReportItem.Observed>())
            {
                Assert.NotEmpty(DedupKeys.KeysOf(item.Observation, SourceRules.Default(format)));
                var stored = JsonSerializer.Serialize(item.Observation);
                Assert.DoesNotContain("\\u0000", stored, StringComparison.Ordinal);
                Assert.DoesNotContain("\\uD800", stored, StringComparison.Ordinal);
            }
        }
        catch (ReportFormatException refused)
        {
            Assert.True(refused is { ByteOffset: >= 0, Line: > 0, Column: > 0 }, refused.Message);
        }
    }

    static string PathOf(XElement? element) => element is null ? "" : $"{PathOf(element.Parent)}/{element.Name.LocalName}";

    /// <summary>A beginning, a part many times over, and an end, none of it held.</summary>
    sealed class RepeatedStream(byte[] head, byte[] part, int times, byte[] tail) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length { get; } = head.Length + ((long)part.Length * times) + tail.Length;
        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            var body = Position - head.Length;
            var rest = body < 0 ? head.AsSpan((int)Position)
                : body < (long)part.Length * times ? part.AsSpan((int)(body % part.Length))
                : tail.AsSpan((int)Math.Min(tail.Length, body - ((long)part.Length * times)));
            var length = Math.Min(rest.Length, buffer.Length);
            rest[..length].CopyTo(buffer);
            Position += length;
            return length;
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));
        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override void Flush() { }
    }
}
