using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Audit;
using Wave16.Platform.Modules;

namespace Wave16.Platform.Tests.Audit;

/// <summary>The keys of the heads: missing, bad, rotated.</summary>
[Collection(AuditCluster.Name)]
public sealed class AuditKeyTests(AuditCluster cluster)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Outside_Development_a_module_without_a_key_does_not_start_and_says_how_to_make_one()
    {
        await using var app = Production(await SampleModule.DatabaseAsync(cluster.Postgres));

        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => app.StartAsync(Cancellation));

        Assert.StartsWith("Audit:SigningKey is missing", refused.Message, StringComparison.Ordinal);
        Assert.Contains("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_migration_step_of_a_release_needs_no_key()
    {
        var database = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using var app = Production(database);

        Assert.Equal(0, await ModuleHost.MigrateAsync(app));
    }

    public static TheoryData<string, string> BadKeys => new()
    {
        { "no PEM", "secret-that-must-not-be-quoted" },
        { "no base64", "-----BEGIN PRIVATE KEY-----\nsecret-that-must-not-be-quoted\n-----END PRIVATE KEY-----" },
        { "a public key", NewKey().ExportSubjectPublicKeyInfoPem() },
        { "another curve", NewKey(ECCurve.NamedCurves.nistP384).ExportPkcs8PrivateKeyPem() },
        { "encrypted", NewKey().ExportEncryptedPkcs8PrivateKeyPem("pass", new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000)) },
        { "RSA", RSA.Create(2048).ExportPkcs8PrivateKeyPem() },
        { "two keys", NewKey().ExportPkcs8PrivateKeyPem() + "\n" + NewKey().ExportPkcs8PrivateKeyPem() },
        { "explicit parameters", Explicit().ExportPkcs8PrivateKeyPem() },
    };

    [Theory]
    [MemberData(nameof(BadKeys))]
    public void A_signing_key_that_cannot_be_used_is_refused_without_being_quoted(string what, string key)
    {
        var refused = Assert.Throws<InvalidOperationException>(() => Keys(("Audit:SigningKey", key)));

        Assert.True(refused.Message == "Audit:SigningKey is not a P-256 private key as PKCS#8 PEM.", what + ": " + refused.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("secret-that-must-not-be-quoted")]
    public void A_previous_key_that_cannot_be_used_is_named(string key)
    {
        var refused = Assert.Throws<InvalidOperationException>(() => Keys(("Audit:SigningKey", Pem(NewKey())), ("Audit:PreviousKeys:0", key)));

        Assert.Equal("Audit:PreviousKeys:0 is not a P-256 public key as SubjectPublicKeyInfo PEM.", refused.Message);
    }

    [Fact]
    public void A_private_key_among_the_previous_ones_is_refused()
    {
        var refused = Assert.Throws<InvalidOperationException>(() =>
            Keys(("Audit:SigningKey", Pem(NewKey())), ("Audit:PreviousKeys:0", PublicPem(NewKey())), ("Audit:PreviousKeys:1", Pem(NewKey()))));

        Assert.StartsWith("Audit:PreviousKeys:1 is not a public key.", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_signing_key_may_stand_among_the_previous_ones()
    {
        using var key = NewKey();

        Assert.Single(Keys(("Audit:SigningKey", Pem(key)), ("Audit:PreviousKeys:0", PublicPem(key))).PublicKeys);
    }

    [Fact]
    public async Task After_a_rotation_old_heads_verify_with_the_old_public_key_and_new_heads_with_the_new_one()
    {
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        using var old = NewKey();
        using var next = NewKey();
        await using (var before = await AuditSample.OpenAsync(connectionString, settings: ("Audit:SigningKey", Pem(old))))
        {
            await before.SaveAsync("T-1", versions: 3);
            await before.SealAsync();
        }

        // One replica still signs with the old key and trusts the new one; another has gone over already.
        await using var late = await AuditSample.OpenAsync(connectionString, settings: [("Audit:SigningKey", Pem(old)), ("Audit:PreviousKeys:0", PublicPem(next))]);
        await using var early = await AuditSample.OpenAsync(connectionString, settings: [("Audit:SigningKey", Pem(next)), ("Audit:PreviousKeys:0", PublicPem(old))]);
        await early.SaveAsync("T-2", versions: 1);
        await early.SealAsync();
        await late.SaveAsync("T-3", versions: 1);
        await late.SealAsync();
        await early.SaveAsync("T-4", versions: 1);
        await early.SealAsync();

        foreach (var replica in new[] { late, early })
            Assert.Equal((true, 4), ((await replica.VerifyAsync()).Intact, (await replica.VerifyAsync()).HeadsChecked));
        using var withOld = new OfflineAuditor(PublicPem(old));
        using var withNew = new OfflineAuditor(PublicPem(next));
        Assert.Equal([(3, true, false), (4, false, true), (5, true, false), (6, false, true)], await OpenedAsync(early, withOld, withNew));
    }

    [Fact]
    public async Task A_rotation_that_forgets_the_old_public_key_is_reported_by_verify()
    {
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        using var old = NewKey();
        await using (var before = await AuditSample.OpenAsync(connectionString, settings: ("Audit:SigningKey", Pem(old))))
        {
            await before.SaveAsync("T-1", versions: 1);
            await before.SealAsync();
        }

        await using var after = await AuditSample.OpenAsync(connectionString, settings: ("Audit:SigningKey", Pem(NewKey())));

        var problem = Assert.Single((await after.VerifyAsync()).Problems);
        Assert.Equal(AuditProblemKind.KeyUnknown, problem.Kind);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(old.ExportSubjectPublicKeyInfo())), problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void In_Development_a_key_is_made_once_and_kept_for_its_owner_only()
    {
        var root = Directory.CreateTempSubdirectory("wave16-keys-");
        try
        {
            var first = new AuditKeys(new ConfigurationBuilder().Build(), new Place(Environments.Development, root.FullName));
            var second = new AuditKeys(new ConfigurationBuilder().Build(), new Place(Environments.Development, root.FullName));

            Assert.Equal(first.KeyId, second.KeyId);
            if (!OperatingSystem.IsWindows())
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(root.FullName, ".wave16", "keys", "audit-signing.pem")));
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }

    private static async Task<List<(long Size, bool Old, bool Next)>> OpenedAsync(AuditSample sample, OfflineAuditor old, OfflineAuditor next)
    {
        var opened = new List<(long, bool, bool)>();
        foreach (var size in await sample.ScalarAsync<long[]>("select array_agg(tree_size order by tree_size) from platform.audit_head"))
        {
            var note = (await sample.Reader.FindHeadAsync(size, Cancellation))?.Note ?? "";
            opened.Add((size, old.Open(note) is not null, next.Open(note) is not null));
        }

        return opened;
    }

    private static WebApplication Production(string database)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
        builder.Logging.ClearProviders();
        builder.Configuration[$"ConnectionStrings:{SampleModule.ModuleName}-db"] = database;
        builder.Configuration["Authentication:Authority"] = "https://login.example.com/";
        builder.AddModules([new SampleModule()]);
        return builder.Build();
    }

    private static AuditKeys Keys(params (string Key, string Value)[] settings) => new(
        new ConfigurationBuilder().AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value))).Build(),
        new Place(Environments.Production, AppContext.BaseDirectory));

    private static ECDsa NewKey(ECCurve? curve = null) => ECDsa.Create(curve ?? ECCurve.NamedCurves.nistP256);

    private static ECDsa Explicit()
    {
        using var named = NewKey();
        return ECDsa.Create(named.ExportExplicitParameters(includePrivateParameters: true));
    }

    private static string Pem(ECDsa key) => key.ExportPkcs8PrivateKeyPem();

    private static string PublicPem(ECDsa key) => key.ExportSubjectPublicKeyInfoPem();

    private sealed class Place(string environment, string root) : IHostEnvironment
    {
        public string EnvironmentName { get; set; } = environment;

        public string ApplicationName { get; set; } = "sample";

        public string ContentRootPath { get; set; } = root;

        public Microsoft.Extensions.FileProviders.IFileProvider ContentRootFileProvider { get; set; } = new Microsoft.Extensions.FileProviders.NullFileProvider();
    }
}
