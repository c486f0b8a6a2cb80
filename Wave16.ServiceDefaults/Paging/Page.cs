namespace Wave16.ServiceDefaults;

/// <summary>One page of a list.</summary>
/// <param name="Items">In the order of the query's keyset.</param>
/// <param name="Next">Pass as <c>?cursor=</c> for the page after this one; null on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string? Next);
