namespace Wave16.VulnCenter.Imports.Formats.Xml;

/// <summary>
/// The elements of interest in a document, by local names: <c>OWASPZAPReport/site/alerts/alertitem</c>. Elements asked for
/// within one another are all given: the outer one without the inner ones, see <see cref="XmlMap.HeadAsync(XmlPlace, CancellationToken)"/>. Everything
/// else is checked and passed over.
/// </summary>
internal sealed class XmlPaths
{
    public XmlPaths(params IReadOnlyList<string> paths)
    {
        foreach (var path in paths)
        {
            var node = Top;
            foreach (var segment in path.Split('/'))
                node = node.Child(segment);
            node.IsAsked = true;
        }
    }

    /// <summary>Above the root element.</summary>
    internal Node Top { get; } = new("", 0);

    internal sealed class Node(string name, int ordinal)
    {
        readonly List<Node> _children = [];

        public string Name { get; } = name;

        /// <summary>Among its parent's.</summary>
        public int Ordinal { get; } = ordinal;
        public bool IsAsked { get; set; }
        public int Count => _children.Count;
        public bool IsLeaf => _children.Count == 0;

        /// <summary>The children's, for messages.</summary>
        public string Names => string.Join(" or ", _children.Select(child => child.Name));

        public Node Child(string name)
        {
            if (Find(name) is not { } child)
                _children.Add(child = new Node(name, _children.Count));
            return child;
        }

        public Node? Find(string name) => _children.Find(child => child.Name == name);
    }
}
