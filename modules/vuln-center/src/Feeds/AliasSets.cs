namespace Wave16.VulnCenter.Feeds;

/// <summary>
/// Disjoint sets of nodes 1 to n. What one statement says is joined as a whole, or, where a set would get more than
/// <paramref name="most"/> members, not at all: so what was believed before stays as it is, and nothing depends on the order within a statement.
/// </summary>
internal sealed class AliasSets(int count, int most)
{
    private readonly int[] _parent = [.. Enumerable.Range(0, count + 1)];
    private readonly int[] _size = [.. Enumerable.Repeat(1, count + 1)];

    /// <summary>The least node of the set.</summary>
    public int Of(int node)
    {
        while (_parent[node] != node)
        {
            // Halves the way for whoever comes next.
            node = _parent[node] = _parent[_parent[node]];
        }

        return node;
    }

    /// <summary>Whatever size the set gets.</summary>
    public void Join(int a, int b)
    {
        var (into, from) = (Of(a), Of(b));
        if (into == from)
        {
            return;
        }

        if (into > from)
        {
            (into, from) = (from, into);
        }

        _parent[from] = into;
        _size[into] += _size[from];
    }

    public void State(IReadOnlyList<(int A, int B)> statement)
    {
        Dictionary<int, int> parent = [];
        Dictionary<int, int> size = [];
        var links = statement.Select(edge => (A: Of(edge.A), B: Of(edge.B))).Where(link => link.A != link.B).ToList();
        foreach (var (a, b) in links)
        {
            var (into, from) = (Root(a), Root(b));
            if (into != from)
            {
                (into, from) = size[into] < size[from] ? (from, into) : (into, from);
                parent[from] = into;
                size[into] += size[from];
            }
        }

        foreach (var (a, b) in links.Where(link => size[Root(link.A)] <= most))
        {
            Join(a, b);
        }

        int Root(int node)
        {
            if (parent.TryAdd(node, node))
            {
                size[node] = _size[node];
            }

            while (parent[node] != node)
            {
                node = parent[node] = parent[parent[node]];
            }

            return node;
        }
    }
}
