using System.Text;
using CsCheck;
using Wave16.VulnCenter.Cvss;

namespace Wave16.VulnCenter.Tests.Cvss;

public sealed class CvssVectorTests
{
    private const string V31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    private const string V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
    private const string V2 = "AV:N/AC:L/Au:N/C:P/I:P/A:P";

    [Theory]
    [InlineData("", 0, "is empty")]
    [InlineData("9.8", 0, "is not a metric and its value")]
    [InlineData("CVSS:", 5, "is not a version")]
    [InlineData("CVSS:3.2/AV:N", 5, "is not a version")]
    [InlineData("CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P", 5, "is not a version")]
    [InlineData("CVSS:3.1", 5, "is not a version")]
    [InlineData("cvss:3.1/AV:N", 0, "is not a metric of CVSS 2.0")]
    [InlineData("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 10, "begins with CVSS:3.0/")]
    [InlineData("(AV:N/AC:L/Au:N/C:P/I:P/A:P)", 0, "is not a metric of CVSS 2.0")]
    [InlineData("CVSS:3.1/", 9, "a metric is missing here")]
    [InlineData("CVSS:3.1//AV:N", 9, "a metric is missing here")]
    [InlineData(V31 + "/", 45, "a metric is missing here")]
    [InlineData(V31 + " ", 43, "is not a value of A: it must be one of H, L, N")]
    [InlineData(" " + V31, 0, "is not a metric of CVSS 2.0")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", 40, "A is missing")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:X", 43, "is not a value of A")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:h", 43, "is not a value of A")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:", 43, "is not a value of A")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H:H", 43, "is not a value of A")]
    [InlineData("CVSS:3.1/av:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9, "is not a metric of CVSS 3.1")]
    [InlineData(V31 + "/AV:N", 45, "AV is given twice")]
    [InlineData(V31 + "/E:X/E:X", 49, "E is given twice")]
    [InlineData(V31 + "/AT:N", 45, "is not a metric of CVSS 3.1")]
    [InlineData(V31 + "/E:A", 47, "is not a value of E")]
    [InlineData(V4 + "/S:N/E:A", 68, "E is out of order")]
    [InlineData("CVSS:4.0/AC:L/AV:N/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 14, "AV is out of order")]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:R/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 32, "is not a value of UI: it must be one of N, P, A")]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:S/SA:N", 57, "is not a value of SI")]
    [InlineData(V4 + "/U:clear", 66, "is not a value of U: it must be one of Clear, Green, Amber, Red, X")]
    [InlineData("AC:L/AV:N/Au:N/C:P/I:P/A:P", 5, "AV is out of order")]
    [InlineData(V2 + "/E:X", 29, "is not a value of E: it must be one of U, POC, F, H, ND")]
    [InlineData("AV:N/AC:L/Au:N/C:P/I:P/A:ND", 25, "is not a value of A")]
    [InlineData("CVSS:3.1/AV:N/AC:Ł/PR:N/UI:N/S:U/C:H/I:H/A:H", 17, "is not a value of AC")]
    [InlineData("CVSS:3.1/\0AV:N", 9, "is not a metric of CVSS 3.1")]
    public void What_is_not_a_vector_is_told_with_its_position_and_why(string text, int position, string reason)
    {
        var (vector, fault) = CvssVector.Read(text);
        Assert.Null(vector);
        Assert.Equal(position, fault?.Position);
        Assert.Contains(reason, fault?.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("CVSS:3.1/S:U/C:H/I:H/A:H/UI:N/PR:N/AC:L/AV:N", V31)]
    [InlineData("CVSS:3.0/A:H/E:P/MAV:X/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P")]
    [InlineData(V4 + "/E:X/CR:X/MSI:S/AU:Y/U:Amber", V4 + "/MSI:S/AU:Y/U:Amber")]
    [InlineData(V2 + "/E:ND/RL:OF/RC:ND", V2 + "/RL:OF")]
    public void A_normalised_vector_stands_in_the_specifications_order_without_what_is_not_defined(string text, string normalised) =>
        Assert.Equal(normalised, Read(text).ToString());

    [Fact]
    public void A_normalised_vector_is_its_own_and_scores_the_same() => Grammar.Any.Sample(sample =>
    {
        var vector = Read(sample.Text);
        var again = Read(vector.ToString());
        Assert.Equal((vector.ToString(), vector.Score()), (again.ToString(), again.Score()));
        Assert.Equal(sample.Written(sample.Metrics.Where(metric => metric.Value != sample.Grammar.NotDefined)), vector.ToString());
    });

    [Fact]
    public void In_version_3_any_order_is_the_same_vector() => Gen.Select(Gen.OneOf(Grammar.Of(Grammar.V30), Grammar.Of(Grammar.V31)), Gen.Int).Sample((sample, seed) =>
    {
        var shuffled = sample.Metrics.ToArray();
        new Random(seed).Shuffle(shuffled);
        Assert.Equal(Read(sample.Text).ToString(), Read(sample.Written(shuffled)).ToString());
    });

    [Fact]
    public void In_versions_2_and_4_any_other_order_is_a_fault() => Gen.Select(Gen.OneOf(Grammar.Of(Grammar.V2), Grammar.Of(Grammar.V4)), Gen.Int[0, 1000]).Sample((sample, at) =>
    {
        var metrics = sample.Metrics.ToArray();
        at %= metrics.Length - 1;
        (metrics[at], metrics[at + 1]) = (metrics[at + 1], metrics[at]);
        var fault = CvssVector.Read(sample.Written(metrics)).Fault;
        Assert.Equal(sample.Written(metrics[..(at + 1)]).Length + 1, fault?.Position);
        Assert.EndsWith("is out of order", fault?.Reason, StringComparison.Ordinal);
    });

    [Fact]
    public void Without_one_of_its_base_metrics_there_is_no_vector() => Gen.Select(Grammar.Any, Gen.Int[0, 1000]).Sample((sample, at) =>
    {
        var gone = sample.Grammar.Base[at % sample.Grammar.Base.Count].Name;
        var text = sample.Written(sample.Metrics.Where(metric => metric.Name != gone));
        Assert.Equal(new CvssFault(text.Length, $"{gone} is missing"), CvssVector.Read(text).Fault);
    });

    [Fact]
    public void Whatever_the_text_it_is_a_vector_or_has_a_fault_within_it() =>
        Gen.OneOf(Gen.String, Gen.Select(Grammar.Any, Gen.Int[0, 1000], Gen.Char).Select((sample, at, with) =>
        {
            var text = new StringBuilder(sample.Text);
            text[at % text.Length] = with;
            return text.ToString();
        })).Sample(text =>
        {
            var (vector, fault) = CvssVector.Read(text);
            Assert.True(vector is null != fault is null);
            Assert.InRange(fault?.Position ?? 0, 0, text.Length);
        });

    [Fact]
    public void A_text_longer_than_any_vector_is_not_read()
    {
        Assert.Equal(CvssVector.MaxLength, CvssVector.Read(new string('A', CvssVector.MaxLength + 1)).Fault?.Position);
        var longest = Grammar.V4.Prefix + string.Join('/', Grammar.V4.Base.Concat(Grammar.V4.Optional).Select(metric => $"{metric.Name}:{metric.Values.MaxBy(value => value.Length)}"));
        Assert.Equal(178, longest.Length);
        Assert.Equal(longest, Read(longest).ToString());
    }

    [Fact]
    public void An_environment_replaces_the_vectors_own_metrics_and_leaves_the_rest()
    {
        var environment = Environment(("3.1", "MAV:L/CR:H/AR:X"), ("4.0", "CR:H/MSI:S"), ("2.0", "CDP:LM/CR:H"));
        Assert.Equal(V31 + "/CR:H/IR:L/MAV:L", Read(V31 + "/CR:L/IR:L").With(environment).ToString());
        Assert.Equal(V4 + "/E:P/CR:H/MSI:S/AU:Y", Read(V4 + "/E:P/AU:Y").With(environment).ToString());
        Assert.Equal(V2 + "/CDP:LM/CR:H", Read(V2).With(environment).ToString());
    }

    [Fact]
    public void A_versions_metrics_go_into_no_other_versions_vectors()
    {
        var environment = Environment(("3.1", "CR:H"));
        Assert.Equal(V4, Read(V4).With(environment).ToString());
        Assert.Equal("CVSS:3.0" + V31[8..], Read("CVSS:3.0" + V31[8..]).With(environment).ToString());
        Assert.Equal([false, false, true, false], Enum.GetValues<CvssVersion>().Select(environment.Concerns));
    }

    [Theory]
    [InlineData("3.1", "", 0, "is not a metric and its value")]
    [InlineData("3.1", "CR:H/AV:N", 5, "is not an environmental metric of CVSS 3.1")]
    [InlineData("4.0", "CR:H/E:A", 5, "is not an environmental metric of CVSS 4.0")]
    [InlineData("3.1", "CR:H/MSI:S", 5, "is not an environmental metric of CVSS 3.1")]
    [InlineData("4.0", "CR:H/MUI:R", 9, "is not a value of MUI: it must be one of N, P, A, X")]
    [InlineData("2.0", "CR:X", 3, "is not a value of CR: it must be one of L, M, H, ND")]
    [InlineData("3.0", "CR:H/IR:L/CR:M", 10, "CR is given twice")]
    [InlineData("3.1", "CR:H/", 5, "is not a metric and its value")]
    [InlineData("3.1", "CR:H/\u0141", 5, "is not a metric and its value")]
    [InlineData("3.2", "CR:H", 0, "is not a version")]
    [InlineData("CVSS:3.1", "CR:H", 0, "is not a version")]
    public void What_is_not_an_environment_is_told_with_its_version_position_and_why(string version, string text, int position, string reason)
    {
        Assert.Null(CvssEnvironment.Read(new Dictionary<string, string> { [version] = text }, out var fault));
        Assert.Equal((version, position), (fault?.Version, fault?.Position));
        Assert.Contains(reason, fault?.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vector_with_an_environment_is_the_vector_written_with_its_metrics() => Gen.Select(Gen.OneOf(Grammar.Of(Grammar.V30), Grammar.Of(Grammar.V4)), Gen.Int).Sample((sample, seed) =>
    {
        var environmental = sample.Metrics.Where(metric => metric.Name.StartsWith('M') || metric.Name is "CR" or "IR" or "AR").ToArray();
        if (environmental.Length == 0)
            return;
        new Random(seed).Shuffle(environmental);
        var without = Read(sample.Written(sample.Metrics.Except(environmental)));
        var environment = Environment((sample.Grammar == Grammar.V4 ? "4.0" : "3.0", string.Join('/', environmental.Select(metric => $"{metric.Name}:{metric.Value}"))));
        Assert.Equal(Read(sample.Text).ToString(), without.With(environment).ToString());
        Assert.Equal(Read(sample.Text).Score(), without.With(environment).Score());
    });

    private static CvssVector Read(string text)
    {
        var (vector, fault) = CvssVector.Read(text);
        return vector ?? throw new InvalidOperationException($"{text}: {fault}");
    }

    private static CvssEnvironment Environment(params (string Version, string Metrics)[] metrics) =>
        CvssEnvironment.Read(metrics.ToDictionary(given => given.Version, given => given.Metrics), out var fault) ?? throw new InvalidOperationException(fault?.ToString());
}
