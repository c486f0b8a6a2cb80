namespace Wave16.VulnCenter.Feeds;

/// <summary>As in the address.</summary>
internal static class FeedNames
{
    public const string Epss = "epss";
    public const string Kev = "kev";
    public const string Aliases = "aliases";

    public static readonly string[] All = [Epss, Kev, Aliases];
}
