using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests;

/// <summary>A report of one finding, for tests that need one to do something with.</summary>
internal static class OneFinding
{
    public static byte[] Report(string severity, string rule = "RT-1", string title = "Order ids can be guessed") => JsonSerializer.SerializeToUtf8Bytes(new
    {
        schemaVersion = "1",
        source = "red-team",
        findings = new[] { new { rule, title, kind = "config", severity, resource = "orders" } },
    });

    public static async Task<Finding> ImportOneAsync(this HttpClient client, string service, string severity, string title = "Order ids can be guessed")
    {
        await client.ImportAsync("generic", service, Report(severity, title: title));
        return Assert.Single((await client.FindingsAsync($"?service={Uri.EscapeDataString(service)}")).Items);
    }
}
