using System.Globalization;
using System.Xml.Linq;

namespace Wave16.VulnCenter.Imports.Formats.Xml;

/// <summary>
/// Reading elements and attributes that may be missing, by local name: scanners change their namespaces with every version.
/// Of several where one is expected the first counts. Text is trimmed, and null when nothing is left.
/// </summary>
internal static class XmlFields
{
    public static IEnumerable<XElement> Children(this XElement? element, string name) =>
        element?.Elements().Where(child => child.Name.LocalName == name) ?? [];

    public static XElement? Child(this XElement? element, string name) => element.Children(name).FirstOrDefault();

    /// <summary>The child's text.</summary>
    public static string? Text(this XElement? element, string name) => element.Child(name).Text();

    public static string? Text(this XElement? element) => element is null ? null : Tidy(element.Value);

    /// <summary>The children's texts, at most <see cref="Bounded.ListLength"/>, each once.</summary>
    public static IReadOnlyList<string> Texts(this XElement? element, string name) =>
        [.. element.Children(name).Select(Text).OfType<string>().Distinct(StringComparer.Ordinal).Take(Bounded.ListLength)];

    public static string? AttributeText(this XElement? element, string name) =>
        element?.Attributes().FirstOrDefault(attribute => attribute.Name.LocalName == name && !attribute.IsNamespaceDeclaration) is { } found ? Tidy(found.Value) : null;

    public static decimal? Decimal(this XElement? element, string name) => Number(element.Text(name));

    public static decimal? Number(string? text) =>
        decimal.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    static string? Tidy(string text) => text.AsSpan().Trim() is { Length: > 0 } trimmed ? XmlText.Clean(trimmed.ToString()) : null;
}
