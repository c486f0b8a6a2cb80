using Microsoft.AspNetCore.Http.HttpResults;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Ssvc;

internal static class SsvcEndpoints
{
    public static void MapSsvc(this IEndpointRouteBuilder app) =>
        app.MapGroup("/findings").WithTags("Ssvc").MapGet("/ssvc", Table).RequireScope(VulnCenterScopes.Read)
            .WithName("GetSsvcTable").WithSummary("The SSVC decision table in use");

    private static Ok<SsvcTable> Table() => TypedResults.Ok(CisaCoordinator.Table);
}
