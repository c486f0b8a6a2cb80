using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// OpenVEX 0.0.1 to 0.2.0. A raw result is a product of a statement, or each of its subcomponents where it names them (then
/// they are what is vulnerable, and the product is where), or a statement without products. <c>affected</c> and
/// <c>under_investigation</c> are findings; <c>not_affected</c> and <c>fixed</c> are not problems. Statements are taken one by
/// one: a later one on the same product does not take back an earlier one.
/// </summary>
internal sealed class OpenVexFormat : IReportFormat
{
    static readonly JsonPaths Paths = new("@context", "author", "timestamp", "last_updated", "tooling", "statements/*");

    public string Name => "openvex";
    public string Title => "OpenVEX";
    public IReadOnlyList<string> Versions => ["0.0.1", "0.0.2", "0.2.0"];

    /// <summary>OpenVEX states no severity.</summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("affected", Severity.Unknown),
        new("under_investigation", Severity.Unknown),
    ];

    public bool Recognises(ReportPeek peek) => IsContext(peek.Scalar("@context")) && peek.Has("statements");

    static bool IsContext(string? context) => context?.StartsWith("https://openvex.dev/ns", StringComparison.Ordinal) is true;

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        if (!IsContext(map.Scalar("/@context")) || !map.Has("/statements"))
            throw JsonMap.Foreign("Not an OpenVEX document: @context is not OpenVEX's, or there are no 'statements'.");

        yield return new ReportItem.ScannerSeen("openvex")
        {
            Category = Bounded.Identity(map.Scalar("/author")),
            ScannedAt = ReportTimes.Of(map.Scalar("/last_updated")) ?? ReportTimes.Of(map.Scalar("/timestamp")),
            Results = await map.CountAsync(map.Sections, CountOf, context, cancellationToken),
        };
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                var statement = Statement.Of(item);
                var isAlone = true;
                foreach (var product in item.Children("products"))
                {
                    isAlone = false;
                    foreach (var result in Product(product, statement))
                        yield return result;
                }
                if (isAlone)
                    yield return statement.Result(item, product: null, subcomponent: null);
            }
        }
    }

    static int CountOf(JsonItem statement) => Math.Max(1, statement.Children("products").Sum(product => Math.Max(1, product.Children("subcomponents").Count())));

    static IEnumerable<ReportItem> Product(JsonItem item, Statement statement)
    {
        using var document = item.Parse();
        if (IdOf(document.RootElement) is not { } product)
        {
            // Every subcomponent of it is a result all the same.
            for (var i = Math.Max(1, item.Children("subcomponents").Count()); i > 0; i--)
                yield return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "The product has neither an @id nor a purl.");
            yield break;
        }
        var isAlone = true;
        foreach (var child in item.Children("subcomponents"))
        {
            isAlone = false;
            using var subcomponent = child.Parse();
            yield return IdOf(subcomponent.RootElement) is { } id
                ? statement.Result(child, product, id)
                : new ReportItem.Rejected(child.Pointer, child.Offset, RejectionCodes.Unreadable, "The subcomponent has neither an @id nor a purl.");
        }
        if (isAlone)
            yield return statement.Result(item, product, subcomponent: null);
    }

    static string? IdOf(JsonElement component) =>
        component.Field("identifiers"u8).Text("purl"u8) ?? component.Text("@id"u8) ?? component.Text();

    sealed record Statement(string? Id, string? Status, string? Justification, string? Impact, string? Action, string? Description, IReadOnlyList<AdvisoryId> Ids, Sha256Digest Payload)
    {
        public static Statement Of(JsonItem item)
        {
            using var document = item.Parse();
            var raw = document.RootElement;
            var vulnerability = raw.Field("vulnerability"u8);
            var id = vulnerability.Text() ?? vulnerability.Text("name"u8) ?? vulnerability.Text("@id"u8);
            return new Statement(
                Bounded.Identity(id), raw.Text("status"u8), raw.Text("justification"u8), raw.Text("impact_statement"u8) ?? raw.Text("status_notes"u8), raw.Text("action_statement"u8),
                vulnerability.Text("description"u8) ?? raw.Text("vuln_description"u8), Identifiers.Advisories([id, .. vulnerability.Texts("aliases"u8)]), item.Hash());
        }

        public ReportItem Result(JsonItem item, string? product, string? subcomponent)
        {
            if (Id is null)
                return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "vulnerability is missing.");
            if (Status is not ("affected" or "under_investigation" or "not_affected" or "fixed"))
                return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "status is none of affected, under_investigation, not_affected, fixed.");
            var vulnerable = subcomponent ?? product;
            var component = vulnerable is null ? null : ComponentOf(vulnerable);
            var observation = new RawObservation
            {
                Pointer = item.Pointer,
                Offset = item.Offset,
                PayloadHash = Payload,
                Kind = FindingKind.Sca,
                RuleId = Id,
                Title = Bounded.Title(component is null ? Id : $"{Id} in {component.Name}"),
                Description = Bounded.Description(string.Join("\n\n", new[] { Description, $"Stated as {Status}.", Impact, Action }.OfType<string>())),
                Identifiers = Ids,
                Component = component,
                Manifest = subcomponent is null ? null : Bounded.Path(Purl.WithoutVersion(product) ?? product),
            };
            return Status is "not_affected" or "fixed" ? observation.Dismissed(Vex.Reason(Status, Justification, Impact)) : new ReportItem.Observed(observation);
        }

        static Component? ComponentOf(string id)
        {
            var canonical = Purl.WithoutVersion(id);
            return Bounded.Identity(canonical is null ? id : Uri.UnescapeDataString(canonical[(canonical.LastIndexOf('/') + 1)..])) is not { } name
                ? null
                : new Component(
                    name, canonical is null ? null : Bounded.Word(Purl.VersionOf(id)), Purl.TypeOf(canonical), canonical is null ? null : Bounded.Identity(id), Bounded.Identity(canonical), []);
        }
    }
}
