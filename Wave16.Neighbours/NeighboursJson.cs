using System.Text.Json;
using System.Text.Json.Serialization;

namespace Wave16.Neighbours;

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    AllowDuplicateProperties = false,
    NumberHandling = JsonNumberHandling.Strict,
    PropertyNameCaseInsensitive = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(Rfc3339)])]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(NeighbourList))]
[JsonSerializable(typeof(FaultsBody))]
[JsonSerializable(typeof(Faults))]
[JsonSerializable(typeof(ReceivedPage))]
[JsonSerializable(typeof(GateBody))]
[JsonSerializable(typeof(Gate))]
[JsonSerializable(typeof(Page<Gate>))]
[JsonSerializable(typeof(TicketBody))]
[JsonSerializable(typeof(TicketStateBody))]
[JsonSerializable(typeof(Ticket))]
[JsonSerializable(typeof(Page<Ticket>))]
[JsonSerializable(typeof(MessageBody))]
[JsonSerializable(typeof(Message))]
[JsonSerializable(typeof(Page<Message>))]
[JsonSerializable(typeof(ConnectorList))]
[JsonSerializable(typeof(Webhook))]
[JsonSerializable(typeof(WebhookReceipt))]
[JsonSerializable(typeof(Page<Webhook>))]
[JsonSerializable(typeof(GraphDocument))]
[JsonSerializable(typeof(GraphSummary))]
[JsonSerializable(typeof(Page<GraphSummary>))]
[JsonSerializable(typeof(PlacementBody))]
[JsonSerializable(typeof(Placement))]
[JsonSerializable(typeof(ExportReceipt))]
[JsonSerializable(typeof(AuditPage))]
[JsonSerializable(typeof(AuditReceipt))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(Dictionary<string, JsonElement>))]
internal sealed partial class NeighboursJson : JsonSerializerContext;
