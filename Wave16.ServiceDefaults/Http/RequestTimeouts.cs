namespace Wave16.ServiceDefaults;

/// <summary>How long a request of one of our clients may take.</summary>
public static class RequestTimeouts
{
    private static readonly HttpRequestOptionsKey<bool> Key = new("wave16.bound-by-caller");

    /// <summary>
    /// The client's own timeouts (5 s for an attempt, 20 s in all) do not count for this request; the caller's token does. For what is
    /// large, and sent by somebody who has a time limit.
    /// </summary>
    public static void BoundByCaller(this HttpRequestMessage request) => request.Options.Set(Key, value: true);

    internal static bool IsBoundByCaller(this HttpRequestMessage request) => request.Options.TryGetValue(Key, out var bound) && bound;
}
