using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using CsCheck;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>
/// Every base vector of every version against a reference that computes otherwise, and against the digest of what published calculators answer:
/// one line "vector score" for each, in the order of <see cref="Grammar.AllBase"/>.
/// </summary>
public sealed class CvssScoreTests
{
    [Fact]
    public void All_104976_base_vectors_of_version_4_score_as_the_reference_and_the_published_calculator_say()
    {
        var scored = Scored(Grammar.V4);

        Assert.Equal(104_976, scored.Count);
        Assert.DoesNotContain(scored, line => line.Score != Reference4.Score(Reference4.Effective(Parsed(Grammar.V4, line.Vector), threat: false, environment: false)).ToString("0.0", CultureInfo.InvariantCulture));
        Assert.Equal("3e71127d206a943d510f7324d2d7fd463e43d947e834bf7d001df9779df3405f", DigestOf(scored));
    }

    [Fact]
    public void The_highest_vectors_of_all_270_macro_vectors_have_the_score_of_the_published_table()
    {
        Assert.Equal("70680e5d35cc677b6f417b9a22e68b0d8a68a6a776ac230906f7ba2ee8aabc51", DigestOf(Reference4.MacroVectors.Select(macro => (macro.Key, macro.Value.ToString("0.0", CultureInfo.InvariantCulture)))));
        foreach (var (macro, score) in Reference4.MacroVectors)
        {
            var highest = Reference4.Highest(macro).Select(Written).ToList();
            Assert.NotEmpty(highest);
            Assert.All(highest, text =>
            {
                var vector = Vector(text);
                Assert.Equal((macro, (decimal)score), (Cvss4.MacroVectorOf(vector).ToString("D6", CultureInfo.InvariantCulture), vector.Score().Overall));
            });
        }
    }

    [Fact]
    public void In_4488_base_vectors_of_version_4_rounding_halves_to_even_would_be_wrong()
    {
        var halves = Grammar.V4.AllBase().Select(text => (Text: text, Exact: Reference4.Exact(Reference4.Effective(Parsed(Grammar.V4, text), threat: false, environment: false))))
            .Where(vector => Math.Abs(vector.Exact * 10 - Math.Floor(vector.Exact * 10) - 0.5) < 1e-6).ToList();

        Assert.All(halves, vector => Assert.Equal((decimal)Math.Ceiling(vector.Exact * 10 - 1e-6) / 10, Vector(vector.Text).Score().Base));
        Assert.Equal(4_488, halves.Count(vector => Math.Round((decimal)Math.Round(vector.Exact, 6), 1, MidpointRounding.ToEven) != Vector(vector.Text).Score().Base));
    }

    [Fact]
    public void All_2592_base_vectors_of_version_3_1_score_as_the_reference_and_the_published_calculator_say() => AllBase3(Grammar.V31, "ad0f52124967752cabaff871eb43c121fa279e6b9a52feedc15d042401232eb4");

    [Fact]
    public void All_2592_base_vectors_of_version_3_0_score_as_the_reference_and_the_published_calculator_say() => AllBase3(Grammar.V30, "18c7d4b21f4908d5950f38af660814a4aa4b79b6ad61901ec0dd35196a2e3f63");

    [Fact]
    public void All_729_base_vectors_of_version_2_score_as_the_reference_and_the_published_calculator_say()
    {
        var scored = Scored(Grammar.V2);

        Assert.Equal(729, scored.Count);
        Assert.DoesNotContain(scored, line => line.Score != InTenths(Reference2And3.Score(Parsed(Grammar.V2, line.Vector)).Base));
        Assert.Equal("efed619b32adeeb5402004b8a9180ce9e25cc70b2b2453f48d631a941c756a01", DigestOf(scored));
    }

    [Fact]
    public void Threat_and_environmental_scores_of_version_4_are_the_references() => Grammar.Of(Grammar.V4).Sample(sample =>
    {
        var scores = Vector(sample.Text).Score();
        Assert.Equal(Reference(sample, threat: false, environment: false), scores.Base);
        Assert.Equal(sample["E"] == "X" ? null : Reference(sample, threat: true, environment: false), scores.Temporal);
        Assert.Equal(
            Grammar.V4.Optional.Skip(1).SkipLast(6).All(metric => sample[metric.Name] == "X") ? null : Reference(sample, threat: true, environment: true), scores.Environmental);
    }, iter: 5_000);

    [Fact]
    public void Temporal_and_environmental_scores_of_versions_2_and_3_are_the_references() => Gen.OneOf(Grammar.Of(Grammar.V2), Grammar.Of(Grammar.V30), Grammar.Of(Grammar.V31)).Sample(sample =>
    {
        var scores = Vector(sample.Text).Score();
        Assert.Equal(Reference2And3.Score(sample), ((int)(scores.Base * 10), (int?)(scores.Temporal * 10), (int?)(scores.Environmental * 10)));
    }, iter: 5_000);

    [Theory]
    [InlineData("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8, Severity.High)]
    [InlineData("AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C", 6.4, Severity.Medium)]
    [InlineData("AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C/CDP:H/TD:H/CR:M/IR:M/AR:H", 9.2, Severity.High)]
    [InlineData("AV:L/AC:H/Au:M/C:N/I:N/A:N", 0.0, Severity.Low)]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, Severity.Critical)]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, Severity.Critical)]
    [InlineData("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0.0, Severity.None)]
    [InlineData("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, Severity.Medium)]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, Severity.Critical)]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0, Severity.None)]
    public void A_vector_has_the_score_and_the_word_of_its_own_version(string text, double score, Severity severity)
    {
        var scores = Vector(text).Score();
        Assert.Equal(((decimal)score, severity), (scores.Overall, scores.Severity));
    }

    [Theory]
    [InlineData(0.0, Severity.None, Severity.Low)]
    [InlineData(0.1, Severity.Low, Severity.Low)]
    [InlineData(3.9, Severity.Low, Severity.Low)]
    [InlineData(4.0, Severity.Medium, Severity.Medium)]
    [InlineData(6.9, Severity.Medium, Severity.Medium)]
    [InlineData(7.0, Severity.High, Severity.High)]
    [InlineData(8.9, Severity.High, Severity.High)]
    [InlineData(9.0, Severity.Critical, Severity.High)]
    [InlineData(10.0, Severity.Critical, Severity.High)]
    public void A_words_bounds_are_the_specifications_and_version_2_knows_no_critical(double score, Severity severity, Severity inVersion2)
    {
        foreach (var version in Enum.GetValues<CvssVersion>())
        {
            Assert.Equal(version == CvssVersion.V20 ? inVersion2 : severity, version.SeverityOf((decimal)score));
        }
    }

    [Fact]
    public void An_environment_that_only_repeats_the_base_metrics_changes_no_score() => Gen.OneOf(Grammar.Of(Grammar.V4), Grammar.Of(Grammar.V30)).Sample(sample =>
    {
        var plain = Vector(sample.Written(sample.Metrics.Take(sample.Grammar.Base.Count)));
        var repeated = string.Join('/', sample.Metrics.Take(sample.Grammar.Base.Count).Select(metric => $"M{metric.Name}:{metric.Value}"));
        var environment = CvssEnvironment.Read(new Dictionary<string, string> { [sample.Grammar == Grammar.V4 ? "4.0" : "3.0"] = repeated }, out _) ?? throw new InvalidOperationException(repeated);
        var scores = plain.With(environment).Score();
        Assert.Equal((plain.Score().Base, plain.Score().Base), (scores.Base, scores.Environmental));
    });

    [Fact]
    public void Without_environmental_metrics_there_is_no_environmental_score() => Grammar.Any.Sample(sample =>
    {
        var scores = Vector(sample.Written(sample.Metrics.Take(sample.Grammar.Base.Count))).Score();
        Assert.Equal((null, null, scores.Base), (scores.Temporal, scores.Environmental, scores.Overall));
    });

    private static void AllBase3(Grammar grammar, string digest)
    {
        var scored = Scored(grammar);

        Assert.Equal(2_592, scored.Count);
        Assert.DoesNotContain(scored, line => line.Score != InTenths(Reference2And3.Score(Parsed(grammar, line.Vector)).Base));
        Assert.Equal(digest, DigestOf(scored));
    }

    private static List<(string Vector, string Score)> Scored(Grammar grammar) =>
        [.. grammar.AllBase().Select(text => (text, Vector(text).Score().Base.ToString(CultureInfo.InvariantCulture)))];

    private static string DigestOf(IEnumerable<(string Vector, string Score)> lines) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(string.Concat(lines.Select(line => $"{line.Vector} {line.Score}\n")))));

    private static string InTenths(int tenths) => (tenths / 10m).ToString("0.0", CultureInfo.InvariantCulture);

    private static decimal Reference(Grammar.Sample sample, bool threat, bool environment) => (decimal)Reference4.Score(Reference4.Effective(sample, threat, environment));

    private static Grammar.Sample Parsed(Grammar grammar, string text) =>
        new(grammar, [.. text[grammar.Prefix.Length..].Split('/').Select(field => field.Split(':')).Select(field => (field[0], field[1]))]);

    private static CvssVector Vector(string text)
    {
        var (vector, fault) = CvssVector.Read(text);
        return vector ?? throw new InvalidOperationException($"{text}: {fault}");
    }

    // Safety is a value of modified metrics only.
    private static string Written(Dictionary<string, char> effective) =>
        "CVSS:4.0/" + string.Join('/', Grammar.V4.Base.Select(metric => $"{metric.Name}:{(effective[metric.Name] == 'S' ? 'H' : effective[metric.Name])}")
            .Concat(new[] { "E", "CR", "IR", "AR" }.Select(metric => $"{metric}:{effective[metric]}"))
            .Concat(new[] { "SI", "SA" }.Where(metric => effective[metric] == 'S').Select(metric => $"M{metric}:S")));
}
