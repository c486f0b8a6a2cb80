using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(PostgresFixture))]

namespace Wave16.Images.Tests;

/// <summary>What is in the image runs in production's way: not as root, with nothing to write to but <c>/tmp</c>.</summary>
public sealed class RunningImageTests(Published published, PostgresFixture postgres)
{
    [Fact]
    public async Task On_a_read_only_file_system_it_becomes_healthy_imports_a_report_and_leaves_nothing_behind()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The image is Linux's.");
        var cancellation = TestContext.Current.CancellationToken;
        await using var authority = await Authority.StartAsync(cancellation);
        await using var module = await ContainedProcess.StartAsync(await published.ImageAsync(), await ProductionAsync(authority));
        using var client = new HttpClient { BaseAddress = await module.AddressAsync(cancellation) };
        var files = Files(module.Program);

        Assert.Equal("healthy", await WhenReadyAsync(client, cancellation));
        using var development = await client.PostAsJsonAsync("/dev/token", new { tenant = "acme", subject = "ada" }, cancellation);
        Assert.Equal(HttpStatusCode.NotFound, development.StatusCode);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", authority.Sign(claims: [("tenant", "acme"), ("sub", "ada"), ("roles", (string[])["operator"])]));
        var import = await ImportAsync(client, "trivy-shop-api.json", cancellation);

        Assert.Equal("succeeded", import.GetProperty("state").GetString());
        Assert.NotEqual(0, import.GetProperty("result").GetProperty("new").GetInt32());
        Assert.Empty(Files(module.Temporary));
        Assert.True(await module.TerminateAsync(cancellation) == 0, module.Output);
        Assert.Equal(files, Files(module.Program));
    }

    private static async Task<JsonElement> ImportAsync(HttpClient client, string report, CancellationToken cancellation)
    {
        using var content = new StreamContent(File.OpenRead(Path.Combine(Checkout.Root, "modules", "vuln-center", "fixtures", report)));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var answer = await client.PostAsync(new Uri("/findings/imports?format=auto&service=shop-api", UriKind.Relative), content, cancellation);
        return await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
    }

    private static async Task<string?> WhenReadyAsync(HttpClient client, CancellationToken cancellation)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (await look.WaitForNextTickAsync(cancellation))
        {
            using var answer = await client.GetAsync(new Uri("/health", UriKind.Relative), cancellation);
            if (answer.IsSuccessStatusCode)
            {
                return (await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation)).GetProperty("status").GetString();
            }
        }

        return null;
    }

    /// <summary>What an operator must give it: docs/operations.md.</summary>
    private async Task<Dictionary<string, string>> ProductionAsync(Authority authority)
    {
        using var signing = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["ASPNETCORE_ENVIRONMENT"] = "Production",
            // Instead of port 8080, which may be somebody's here.
            ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
            ["Authentication__Authority"] = authority.Issuer,
            ["Audit__SigningKey"] = signing.ExportPkcs8PrivateKeyPem(),
            ["VulnCenter__SecretKey"] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)),
            ["ConnectionStrings__vuln-center-db"] = await postgres.CreateDatabaseAsync(TestContext.Current.CancellationToken),
        };
    }

    private static List<string> Files(string folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path)).Order(StringComparer.Ordinal)];
}
