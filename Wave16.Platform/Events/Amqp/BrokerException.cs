namespace Wave16.Platform.Events.Amqp;

/// <summary>The broker is away, or will not have us. The message is for operators, and holds no secrets.</summary>
internal sealed class BrokerException(string reason, Exception? inner = null) : Exception(reason, inner);
