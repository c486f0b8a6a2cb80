using System.Text.Json;
using YamlDotNet.Serialization;

namespace Wave16.Conformance.Tests;

internal static class YamlFile
{
    public static JsonElement Read(string path) => Parse(File.ReadAllText(path));

    public static JsonElement Parse(string text)
    {
        var values = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize(text);
        return JsonSerializer.Deserialize<JsonElement>(new SerializerBuilder().JsonCompatible().Build().Serialize(values));
    }
}
