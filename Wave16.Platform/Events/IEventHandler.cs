namespace Wave16.Platform.Events;

/// <summary>What a module does about other modules' events.</summary>
public interface IEventHandler
{
    /// <summary><c>&lt;module&gt;/&lt;purpose&gt;</c>, for ever: it names the queue and is part of every command id.</summary>
    string Consumer { get; }

    IReadOnlyCollection<string> Types { get; }

    /// <summary>Returns when the effect is committed.</summary>
    /// <param name="envelope">May come again, and late; drop a late one only when the event carries the entity's full state.</param>
    /// <param name="commandId"><c>evt:&lt;consumer&gt;:&lt;event id&gt;</c>: the id of the one command this causes. The save keeps it, so that a repeated
    /// event finds the stored answer and changes nothing. A handler that saves several entities uses it for each.</param>
    /// <param name="cancellation">The delivery took too long, or the process stops: end soon. A handler that does not is left behind, and the
    /// event comes again while it may still run.</param>
    /// <exception cref="EventRejectedException">This event can never be handled: it becomes a dead letter at once.</exception>
    Task HandleAsync(EventEnvelope envelope, string commandId, CancellationToken cancellation);
}
