using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Ssvc;

namespace Wave16.VulnCenter.Tests.Ssvc;

public sealed class SsvcTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string V31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    private const string V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
    private const string V2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C";

    /// <summary>The 36 rows as CISA's tree reads: exploitation, automatable, technical impact, mission and well-being, decision.</summary>
    public static TheoryData<Exploitation, bool, TechnicalImpact, string> Rows => new()
    {
        { Exploitation.None, false, TechnicalImpact.Partial, "track track track" },
        { Exploitation.None, false, TechnicalImpact.Total, "track track track*" },
        { Exploitation.None, true, TechnicalImpact.Partial, "track track attend" },
        { Exploitation.None, true, TechnicalImpact.Total, "track track attend" },
        { Exploitation.Poc, false, TechnicalImpact.Partial, "track track track*" },
        { Exploitation.Poc, false, TechnicalImpact.Total, "track track* attend" },
        { Exploitation.Poc, true, TechnicalImpact.Partial, "track track attend" },
        { Exploitation.Poc, true, TechnicalImpact.Total, "track track* attend" },
        { Exploitation.Active, false, TechnicalImpact.Partial, "track track attend" },
        { Exploitation.Active, false, TechnicalImpact.Total, "track attend act" },
        { Exploitation.Active, true, TechnicalImpact.Partial, "attend attend act" },
        { Exploitation.Active, true, TechnicalImpact.Total, "attend act act" },
    };

    [Theory, MemberData(nameof(Rows))]
    public void Each_row_of_the_table_decides_for_low_medium_and_high(Exploitation exploitation, bool automatable, TechnicalImpact impact, string decisions)
    {
        var decided = Enum.GetValues<MissionImpact>().Select(mission => new SsvcInputs(exploitation, automatable, impact, mission).Decision switch
        {
            SsvcDecision.TrackStar => "track*",
            { } decision => decision.ToString().ToLowerInvariant(),
            null => "none",
        });
        Assert.Equal(decisions, string.Join(' ', decided));
    }

    [Fact]
    public async Task The_table_in_use_is_shown_row_by_row()
    {
        using var http = await host.OperatorAsync("ssvc");
        var text = await http.GetStringAsync(new Uri("/findings/ssvc", UriKind.Relative), TestContext.Current.CancellationToken);
        var table = await new VulnCenterClient(http).SsvcTableAsync(TestContext.Current.CancellationToken);

        Assert.Equal(36, table.Rows.DistinctBy(row => (row.Exploitation, row.Automatable, row.TechnicalImpact, row.MissionImpact)).Count());
        Assert.All(table.Rows, row => Assert.Equal(new SsvcInputs(row.Exploitation, row.Automatable, row.TechnicalImpact, row.MissionImpact).Decision, row.Decision));
        Assert.Contains("""{"exploitation":"none","automatable":false,"technicalImpact":"total","missionImpact":"high","decision":"track-star"}""", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(V31, true, false, Exploitation.Active)]
    [InlineData(V31 + "/E:U", true, true, Exploitation.Active)]
    [InlineData(V31, false, true, Exploitation.Poc)]
    [InlineData(V31, false, false, Exploitation.None)]
    [InlineData(V31 + "/E:U", false, false, Exploitation.None)]
    [InlineData(V31 + "/E:P", false, false, Exploitation.Poc)]
    [InlineData(V31 + "/E:F", false, false, Exploitation.Poc)]
    [InlineData(V31 + "/E:H", false, false, Exploitation.Poc)]
    [InlineData(V4 + "/E:U", false, false, Exploitation.None)]
    [InlineData(V4 + "/E:P", false, false, Exploitation.Poc)]
    [InlineData(V4 + "/E:A", false, false, Exploitation.Poc)]
    [InlineData(V2 + "/E:U", false, false, Exploitation.None)]
    [InlineData(V2 + "/E:POC", false, false, Exploitation.Poc)]
    [InlineData(V2, false, false, Exploitation.None)]
    public void Exploitation_is_active_where_the_catalogue_lists_it_and_poc_where_one_is_known(string vector, bool known, bool reference, Exploitation expected) =>
        Assert.Equal(expected, SsvcInputs.Of(Read(vector), known, reference, MissionImpact.High).Exploitation);

    [Theory]
    [InlineData(V31, true)]
    [InlineData("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", false)]
    [InlineData("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", false)]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", false)]
    [InlineData("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", false)]
    [InlineData(V4, true)]
    [InlineData(V4 + "/AU:N", false)]
    [InlineData("CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/AU:Y", true)]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", false)]
    [InlineData(V2, true)]
    [InlineData("AV:N/AC:M/Au:N/C:C/I:C/A:C", false)]
    public void It_is_automatable_where_the_vector_says_so_or_nothing_stands_in_an_attackers_way(string vector, bool expected) =>
        Assert.Equal(expected, SsvcInputs.Of(Read(vector), knownExploited: false, exploitReference: false, null).Automatable);

    [Theory]
    [InlineData(V31, TechnicalImpact.Total)]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:L", TechnicalImpact.Partial)]
    [InlineData(V4, TechnicalImpact.Total)]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:H/SI:H/SA:H", TechnicalImpact.Partial)]
    [InlineData(V2, TechnicalImpact.Total)]
    [InlineData("AV:N/AC:L/Au:N/C:P/I:P/A:P", TechnicalImpact.Partial)]
    public void The_impact_is_total_where_everything_is_lost(string vector, TechnicalImpact expected) =>
        Assert.Equal(expected, SsvcInputs.Of(Read(vector), knownExploited: false, exploitReference: false, null).TechnicalImpact);

    [Fact]
    public void Without_a_vector_or_a_services_mission_there_is_no_decision()
    {
        Assert.Null(SsvcInputs.Of(Read(V31), knownExploited: true, exploitReference: true, missionImpact: null).Decision);
        Assert.Null(SsvcInputs.Of(vector: null, knownExploited: true, exploitReference: true, MissionImpact.High).Decision);
        Assert.Equal(SsvcDecision.Act, SsvcInputs.Of(Read(V31), knownExploited: true, exploitReference: false, MissionImpact.High).Decision);
    }

    [Theory]
    [InlineData("https://www.exploit-db.com/exploits/12345", true)]
    [InlineData("http://exploit-db.com/exploits/12345", true)]
    [InlineData("https://github.com/rapid7/metasploit-framework/blob/master/modules/exploits/x.rb", true)]
    [InlineData("https://packetstormsecurity.com/files/1/x.html", true)]
    [InlineData("https://exploit-db.com.example/exploits/12345", false)]
    [InlineData("https://example.com/exploit-db.com/exploits/1", false)]
    [InlineData("https://github.com/rapid7/other", false)]
    [InlineData("exploit-db.com/exploits/1", false)]
    [InlineData("javascript:alert(1)", false)]
    public void A_reference_is_an_exploit_where_its_place_holds_nothing_else(string reference, bool expected) => Assert.Equal(expected, SsvcInputs.IsExploit(reference));

    private static CvssVector Read(string text) => CvssVector.Read(text).Vector ?? throw new InvalidOperationException(text);
}
