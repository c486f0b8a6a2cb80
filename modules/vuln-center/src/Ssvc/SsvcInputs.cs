using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;

namespace Wave16.VulnCenter.Ssvc;

/// <summary>What the table is asked with. What is not known is null, and then there is no decision.</summary>
internal sealed record SsvcInputs(Exploitation Exploitation, bool? Automatable, TechnicalImpact? TechnicalImpact, MissionImpact? MissionImpact)
{
    // Sites and folders that hold exploits and nothing else.
    private static readonly string[] ExploitPlaces =
    [
        "exploit-db.com/exploits/", "packetstormsecurity.com/files/", "packetstorm.news/files/", "github.com/rapid7/metasploit-framework/",
        "rapid7.com/db/modules/exploit/", "0day.today/exploit/",
    ];

    public SsvcDecision? Decision => (Automatable, TechnicalImpact, MissionImpact) is ({ } automatable, { } impact, { } mission)
        ? CisaCoordinator.Decide(Exploitation, automatable, impact, mission)
        : null;

    /// <param name="vector">The one that decides the finding's severity; null when there is none.</param>
    /// <param name="knownExploited">It is in CISA's catalogue of known exploited vulnerabilities.</param>
    /// <param name="exploitReference">One of its references is an exploit: <see cref="IsExploit"/>.</param>
    /// <param name="missionImpact">From the service's profile; null when it has none.</param>
    public static SsvcInputs Of(CvssVector? vector, bool knownExploited, bool exploitReference, MissionImpact? missionImpact) => new(
        knownExploited ? Exploitation.Active : exploitReference || (vector is not null && HasProofOfConcept(vector)) ? Exploitation.Poc : Exploitation.None,
        vector is null ? null : IsAutomatable(vector),
        vector is null ? null : IsTotal(vector) ? Contracts.TechnicalImpact.Total : Contracts.TechnicalImpact.Partial,
        missionImpact);

    /// <summary>The address is a place for exploits. It is read, never fetched.</summary>
    public static bool IsExploit(string reference)
    {
        if (!Uri.TryCreate(reference, UriKind.Absolute, out var address) || address.Scheme is not ("https" or "http"))
            return false;
        var host = address.Host.StartsWith("www.", StringComparison.Ordinal) ? address.Host[4..] : address.Host;
        return ExploitPlaces.Any(place => (host + address.AbsolutePath).StartsWith(place, StringComparison.Ordinal));
    }

    // Attacked (v4) counts as a proof of concept: it is also said where only a toolkit exists. Active is what the catalogue lists.
    private static bool HasProofOfConcept(CvssVector vector) => (vector.Version, vector["E"]) switch
    {
        (_, null) => false,
        (CvssVersion.V40, "P" or "A") => true,
        (CvssVersion.V40, _) => false,
        (_, "U") => false,
        _ => true,
    };

    // Version 2.0 has no user interaction; where it is needed, the access complexity is not low (guide §2.1.2).
    private static bool IsAutomatable(CvssVector vector) => vector.Version switch
    {
        CvssVersion.V20 => (vector["AV"], vector["AC"], vector["Au"]) is ("N", "L", "N"),
        CvssVersion.V40 when vector["AU"] is { } stated => stated == "Y",
        CvssVersion.V40 => (vector["AV"], vector["AC"], vector["AT"], vector["PR"], vector["UI"]) is ("N", "L", "N", "N", "N"),
        _ => (vector["AV"], vector["AC"], vector["PR"], vector["UI"]) is ("N", "L", "N", "N"),
    };

    private static bool IsTotal(CvssVector vector) => vector.Version switch
    {
        CvssVersion.V20 => (vector["C"], vector["I"], vector["A"]) is ("C", "C", "C"),
        CvssVersion.V40 => (vector["VC"], vector["VI"], vector["VA"]) is ("H", "H", "H"),
        _ => (vector["C"], vector["I"], vector["A"]) is ("H", "H", "H"),
    };
}
