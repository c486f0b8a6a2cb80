namespace Wave16.Platform.Store;

/// <summary>What became of a save.</summary>
/// <remarks>
/// How a grain takes it:
/// <list type="bullet">
/// <item><see cref="Saved"/>: it takes the new state, version and audit hash as its own, and answers.</item>
/// <item><see cref="Stale"/>: its state is older than the row, because a bulk write or another activation has been there. It
/// reloads and decides again, or answers with a conflict.</item>
/// <item><see cref="AlreadyDone"/>: it gives the stored answer, and reloads, because its state is older than the row.</item>
/// <item>An exception: whether the save was committed is not known. It deactivates itself and lets the exception
/// through (503 with Retry-After). The caller repeats the command under the same id, the new activation loads the row,
/// and the save says <see cref="AlreadyDone"/> if it had been committed. It never answers from the state it had.</item>
/// </list>
/// A command that is not valid any more in the state that it led to itself (resolve a resolved incident) is refused by the rule before it
/// comes to a save; so a grain that is about to refuse looks for the command with <see cref="CommandAnswers.FindAsync"/> first.
/// </remarks>
public abstract record SaveOutcome
{
    private SaveOutcome()
    {
    }

    /// <param name="AuditHash">The next change's <see cref="EntityChange.PreviousAuditHash"/>.</param>
    public sealed record Saved(byte[] AuditHash) : SaveOutcome;

    /// <summary>The row does not have the version that the change was made against; nothing was written.</summary>
    public sealed record Stale : SaveOutcome;

    /// <summary>The command had been done; nothing was written.</summary>
    /// <param name="Answer">JSON, as it was stored then.</param>
    public sealed record AlreadyDone(string Answer) : SaveOutcome;
}
