namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// The events in hand: of a source, tenant and subject one at a time is handled, in the order in which they came; different ones at
/// the same time.
/// </summary>
/// <param name="handle">Returns when the event is settled. It does not throw.</param>
internal sealed class OrderedSubjects(Func<Received, Task> handle)
{
    private readonly Dictionary<SubjectOfSource, Waiting> _subjects = [];
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private bool _closed;

    /// <summary>Completes when all that came before <see cref="Close"/> are settled.</summary>
    public Task Idle => _idle.Task;

    /// <summary>Nothing is begun that comes from now on. False when that was said before.</summary>
    public bool Close()
    {
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            _closed = true;
            if (_subjects.Count == 0)
            {
                _idle.TrySetResult();
            }

            return true;
        }
    }

    /// <summary>Does not wait.</summary>
    public void Add(Received received)
    {
        var subject = received.Subject;
        lock (_gate)
        {
            if (_closed)
            {
                received.Link.Hold(received.Message);
                return;
            }

            if (_subjects.TryGetValue(subject, out var waiting))
            {
                waiting.Later.Enqueue(received);
                if (waiting.HeadPauses)
                {
                    received.Link.Park(received.Message);
                }

                return;
            }

            _subjects.Add(subject, new Waiting(received));
        }

        _ = Task.Run(() => WorkAsync(subject), CancellationToken.None);
    }

    /// <summary>What is being handled has failed and waits. What is behind it waits, too, and must not use up the credit of the other subjects.</summary>
    public void Pause(SubjectOfSource subject)
    {
        lock (_gate)
        {
            var waiting = _subjects[subject];
            waiting.HeadPauses = true;
            foreach (var later in waiting.Later)
            {
                later.Link.Park(later.Message);
            }
        }
    }

    private async Task WorkAsync(SubjectOfSource subject)
    {
        while (Next(subject) is { } received)
        {
            await handle(received);
        }
    }

    private Received? Next(SubjectOfSource subject)
    {
        lock (_gate)
        {
            var waiting = _subjects[subject];
            waiting.HeadPauses = false;
            if (waiting.Later.TryDequeue(out var next))
            {
                return next;
            }

            _subjects.Remove(subject);
            if (_closed && _subjects.Count == 0)
            {
                _idle.TrySetResult();
            }

            return null;
        }
    }

    private sealed class Waiting(Received first)
    {
        public Queue<Received> Later { get; } = new([first]);

        /// <summary>What is being handled has failed, and waits before it is tried again or given back.</summary>
        public bool HeadPauses { get; set; }
    }
}
