namespace Wave16.ServiceDefaults;

/// <summary>Recognises an infrastructure failure. Register as a singleton; the first that answers wins, before the built-in ones
/// (Npgsql, sockets, timeouts, Orleans unavailable). Asked for the exception and then for each inner one.</summary>
public interface IExceptionMapper
{
    /// <returns>What to answer (usually <see cref="ProblemCodes.Unavailable"/>), or null when the exception is not known here.</returns>
    ExceptionAnswer? Map(Exception exception);
}

/// <param name="Code">Status and code of the answer.</param>
/// <param name="Detail">For the caller: no host names, no SQL.</param>
/// <param name="Dependency">What failed, kebab-case; named in the log. Health is reported by whoever can also tell that it is back.</param>
/// <param name="RetryAfter">When to come back; 503 without one says 2 s.</param>
public sealed record ExceptionAnswer(ProblemCode Code, string Detail, string? Dependency = null, TimeSpan? RetryAfter = null);
