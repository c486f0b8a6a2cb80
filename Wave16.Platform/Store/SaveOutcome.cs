namespace Wave16.Platform.Store;

/// <summary>What a save came to. An exception instead means that its outcome is not known: forget what is cached, and look the command up.</summary>
public abstract record SaveOutcome
{
    private SaveOutcome()
    {
    }

    /// <param name="AuditHash">Hash of the leaf this save wrote; the entity's next leaf names it.</param>
    public sealed record Saved(byte[] AuditHash) : SaveOutcome;

    /// <summary>Somebody else has saved a later version: reload and decide again, or answer 412.</summary>
    public sealed record Stale : SaveOutcome;

    /// <param name="Answer">JSON, as stored when the command was done.</param>
    public sealed record AlreadyDone(string Answer) : SaveOutcome;
}
