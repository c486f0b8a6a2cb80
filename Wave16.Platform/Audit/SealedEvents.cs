using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Wave16.Platform.Events;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>
/// <c>wave16.&lt;module&gt;.audit-sealed.v1</c>: <c>{"log", "checkpoint", "leaves": [{"seq", "id", "hash", "canonical"}]}</c>, the
/// leaves of one tenant in the order of the log, with the signed head that covers them. Whoever keeps these can show later
/// that the log was changed. The subject is the module, so each tenant's events come in the log's order.
/// </summary>
internal static class SealedEvents
{
    // Of an event's 64 KB; the rest is for its context attributes.
    private const int MaxBytes = 60 * 1024;

    // Compared with what is escaped in HTML, canonical JSON stays half as long; the event is never part of a page.
    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string TypeOf(string module) => $"wave16.{module}.audit-sealed.v1";

    public static List<SealedEvent> Of(StoreEpoch epoch, string module, Checkpoint head, string note, IReadOnlyList<PendingLeaf> leaves)
    {
        var first = head.Size - leaves.Count;
        var events = new List<SealedEvent>();
        foreach (var tenant in leaves.Select((leaf, i) => (Leaf: leaf, Seq: first + i)).GroupBy(item => item.Leaf.Tenant ?? "", StringComparer.Ordinal))
        {
            var ordinal = 0;
            var room = 0;
            var chunk = new List<byte[]>();
            foreach (var leaf in tenant.Select(item => Leaf(item.Leaf, item.Seq)))
            {
                if (chunk.Count > 0 && leaf.Length + 1 > room)
                {
                    Raise();
                }

                if (chunk.Count == 0)
                {
                    room = MaxBytes - Json(head.Origin, note, []).Length;
                }

                chunk.Add(leaf);
                room -= leaf.Length + 1;
            }

            Raise();

            void Raise()
            {
                events.Add(new(
                    EventId.Of(epoch, tenant.Key, "audit-log", module, head.Size, ordinal++), tenant.Key, Encoding.UTF8.GetString(Json(head.Origin, note, chunk))));
                chunk.Clear();
            }
        }

        return events;
    }

    private static byte[] Leaf(PendingLeaf leaf, long seq)
    {
        var json = Write(leaf.Canonical);
        // One leaf alone may be too much for an event; its hash still binds it.
        return json.Length <= MaxBytes - 1024 ? json : Write(canonical: null);

        byte[] Write(string? canonical) => Json(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("seq", seq);
            writer.WriteNumber("id", leaf.Id);
            writer.WriteString("hash", Convert.ToHexStringLower(leaf.Hash));
            writer.WriteString("canonical", canonical);
            writer.WriteEndObject();
        });
    }

    private static byte[] Json(string log, string note, List<byte[]> leaves) => Json(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("log", log);
        writer.WriteString("checkpoint", note);
        writer.WriteStartArray("leaves");
        foreach (var leaf in leaves)
        {
            writer.WriteRawValue(leaf, skipInputValidation: true);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    });

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Relaxed))
        {
            write(writer);
        }

        return buffer.ToArray();
    }
}
