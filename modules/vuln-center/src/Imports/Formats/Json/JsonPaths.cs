using System.Text;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>
/// The places of interest in a document: <c>Results/*/Target</c> (a scalar), <c>Results/*/Vulnerabilities/*</c> (the
/// elements of an array). <c>*</c> stands for every element of an array, <c>{}</c> at the end for every member of an object
/// that is used as a map (<c>advisories/{}</c>); everything else is skipped unread.
/// </summary>
internal sealed class JsonPaths
{
    public JsonPaths(params IReadOnlyList<string> paths)
    {
        foreach (var path in paths)
        {
            var node = Root;
            foreach (var segment in path.Split('/'))
                node = segment switch
                {
                    "*" => node.Each ??= new Node([]),
                    "{}" => node.EachMember ??= new Node([]),
                    _ => node.Child(segment),
                };
            node.Pattern = path;
        }
    }

    internal Node Root { get; } = new([]);

    internal sealed class Node(byte[] name)
    {
        readonly List<Node> _children = [];

        public byte[] Name { get; } = name;
        public Node? Each { get; set; }
        public Node? EachMember { get; set; }
        public string? Pattern { get; set; }
        public bool HasNames => _children.Count > 0 || EachMember is not null;

        /// <summary>An element that is yielded as it stands.</summary>
        public bool IsLeaf => !HasNames && Each is null;

        public Node Child(string name)
        {
            var utf8 = Encoding.UTF8.GetBytes(name);
            var child = Find(utf8, out _);
            if (child is not null)
                return child;
            // The walk remembers in 64 bits which names it has met.
            if (_children.Count == 64)
                throw new ArgumentException("At most 64 names in one object.", nameof(name));
            _children.Add(child = new Node(utf8));
            return child;
        }

        public Node? Find(ReadOnlySpan<byte> name, out int position)
        {
            for (position = 0; position < _children.Count; position++)
            {
                if (name.SequenceEqual(_children[position].Name))
                    return _children[position];
            }
            return null;
        }
    }
}
