using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>A silo that leaves, is overloaded or does not answer is a dependency that is down, not a bug of the caller or ours.</summary>
internal sealed class OrleansFailures : IExceptionMapper
{
    public ExceptionAnswer? Map(Exception exception) => exception switch
    {
        GatewayTooBusyException or SiloUnavailableException or OrleansMessageRejectionException
            => new ExceptionAnswer(ProblemCodes.Unavailable, "The cluster is changing or at its limit; the request can be repeated.", "orleans", TimeSpan.FromSeconds(2)),
        TimeoutException { Source: "Orleans.Core" or "Orleans.Runtime" }
            => new ExceptionAnswer(ProblemCodes.Unavailable, "An answer inside the cluster took too long; the outcome is not known.", "orleans", TimeSpan.FromSeconds(2)),
        ClientNotAvailableException => new ExceptionAnswer(ProblemCodes.Unavailable, "The cluster is not reachable.", "orleans", TimeSpan.FromSeconds(2)),
        _ => null,
    };
}
