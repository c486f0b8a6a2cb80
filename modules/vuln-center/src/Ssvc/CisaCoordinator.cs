using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Ssvc;

/// <summary>The CISA Coordinator decision table of SSVC, version 2.0.3 (CERT/CC's SSVC repository, key <c>cisa:DT_CO:2.0.3</c>).</summary>
internal static class CisaCoordinator
{
    private const SsvcDecision Track = SsvcDecision.Track, Star = SsvcDecision.TrackStar, Attend = SsvcDecision.Attend, Act = SsvcDecision.Act;

    // A row for each exploitation, automatable and technical impact; in it mission and well-being low, medium, high.
    private static readonly SsvcDecision[] Decisions =
    [
        Track, Track, Track, // none, no, partial
        Track, Track, Star, // none, no, total
        Track, Track, Attend, // none, yes, partial
        Track, Track, Attend, // none, yes, total
        Track, Track, Star, // poc, no, partial
        Track, Star, Attend, // poc, no, total
        Track, Track, Attend, // poc, yes, partial
        Track, Star, Attend, // poc, yes, total
        Track, Track, Attend, // active, no, partial
        Track, Attend, Act, // active, no, total
        Attend, Attend, Act, // active, yes, partial
        Attend, Act, Act, // active, yes, total
    ];

    public static SsvcTable Table { get; } = new("CISA Coordinator", "2.0.3",
    [
        .. from exploitation in Enum.GetValues<Exploitation>()
           from automatable in (bool[])[false, true]
           from impact in Enum.GetValues<TechnicalImpact>()
           from mission in Enum.GetValues<MissionImpact>()
           select new SsvcRow(exploitation, automatable, impact, mission, Decide(exploitation, automatable, impact, mission)),
    ]);

    public static SsvcDecision Decide(Exploitation exploitation, bool automatable, TechnicalImpact impact, MissionImpact mission) =>
        Decisions[((((int)exploitation - 1) * 2 + (automatable ? 1 : 0)) * 2 + (int)impact - 1) * 3 + (int)mission - 1];
}
