using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class SeverityDecisionTests
{
    private static readonly ReportedCvss V4 = new("4.0", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 6.9m, "nvd");
    private static readonly ReportedCvss V31 = new("3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8m, "nvd");
    private static readonly ReportedCvss V30 = new("3.0", "CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N", 5.5m, "nvd");
    private static readonly ReportedCvss V2 = new("2.0", "AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0m, "nvd");

    [Fact]
    public void The_newest_version_decides_whatever_older_ones_score()
    {
        Assert.Equal((Severity.Medium, "cvss-4.0", 6.9m), Decided(V2, V31, V4, V30));
        Assert.Equal((Severity.Critical, "cvss-3.1", 9.8m), Decided(V2, V30, V31));
        Assert.Equal((Severity.Medium, "cvss-3.0", 5.5m), Decided(V2, V30));
        Assert.Equal((Severity.High, "cvss-2.0", 10.0m), Decided(V2));
        Assert.Equal((Severity.Low, "source", null), Decided());
    }

    [Fact]
    public void Of_several_origins_the_first_one_stated_decides_not_the_worst()
    {
        var vendor = V31 with { Vector = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", Origin = "vendor" };
        Assert.Equal((Severity.Low, "cvss-3.1", 1.8m), Decided(vendor, V31));
        Assert.Equal((Severity.Critical, "cvss-3.1", 9.8m), Decided(V31, vendor));
    }

    [Fact]
    public void A_vector_that_does_not_parse_decides_nothing_and_is_told()
    {
        var broken = V4 with { Vector = "CVSS:4.0/AV:N" };
        var decision = SeverityDecision.Of([broken, V30], Severity.Critical, environment: null);
        Assert.Equal((Severity.Medium, "cvss-3.0"), (decision.Severity, decision.From));
        Assert.Equal([new CvssFault(13, "AC is missing"), null], decision.Assessed.Select(assessed => assessed.Fault));

        var none = SeverityDecision.Of([broken], Severity.High, environment: null);
        Assert.Equal((Severity.High, "source", null, null, 1), (none.Severity, none.From, none.Score, none.Vector, none.Assessed.Count));
    }

    [Fact]
    public void A_score_the_scanner_states_is_recorded_and_not_trusted()
    {
        var decision = SeverityDecision.Of([V31 with { Score = 3.1m }, V31 with { Score = null }, V31], Severity.Low, environment: null);
        Assert.Equal((Severity.Critical, 9.8m), (decision.Severity, decision.Score));
        Assert.Equal([true, false, false], decision.Assessed.Select(assessed => assessed.ScoreDiffers));
    }

    [Fact]
    public void A_scanner_that_states_the_base_score_of_a_vector_with_more_metrics_does_not_differ()
    {
        var temporal = V31 with { Vector = V31.Vector + "/E:U/RL:O/RC:C" };
        Assert.False(SeverityDecision.Of([temporal], Severity.Low, environment: null).Assessed[0].ScoreDiffers);
        Assert.Equal((Severity.High, "cvss-3.1", 8.5m), Decided(temporal));
    }

    [Fact]
    public void A_services_environment_decides_where_it_is_given_and_the_scanners_score_is_compared_without_it()
    {
        var environment = CvssEnvironment.Read(new Dictionary<string, string> { ["3.1"] = "MAV:P/CR:L/IR:L/AR:L", ["4.0"] = "CR:L" }, out _);
        var decision = SeverityDecision.Of([V31], Severity.Low, environment);
        Assert.Equal((Severity.Medium, "cvss-3.1/environmental", 5.0m, V31.Vector + "/CR:L/IR:L/AR:L/MAV:P"), (decision.Severity, decision.From, decision.Score, decision.Vector));
        Assert.False(decision.Assessed[0].ScoreDiffers);
    }

    [Fact]
    public void An_environment_without_a_metric_of_the_deciding_version_changes_nothing()
    {
        var decision = SeverityDecision.Of([V31, V2], Severity.Low, CvssEnvironment.Read(new Dictionary<string, string> { ["2.0"] = "CDP:H", ["3.1"] = "CR:X", ["4.0"] = "MSI:S" }, out _));
        Assert.Equal(("cvss-3.1", 9.8m, V31.Vector), (decision.From, decision.Score, decision.Vector));
    }

    [Fact]
    public void A_vector_without_impact_has_no_severity_whatever_the_source_says() =>
        Assert.Equal((Severity.None, "cvss-3.1", 0.0m), Decided(V31 with { Vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N" }));

    private static (Severity Severity, string From, decimal? Score) Decided(params ReportedCvss[] reported)
    {
        var decision = SeverityDecision.Of(reported, Severity.Low, environment: null);
        return (decision.Severity, decision.From, decision.Score);
    }
}
