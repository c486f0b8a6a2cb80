using System.Reflection;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(PostgresFixture))]

namespace Wave16.Platform.Tests;

/// <summary>A module with one table, <c>sample.ticket</c>, and what a test registers.</summary>
internal sealed class SampleModule(Action<ModuleBuilder>? services = null, Action<IEndpointRouteBuilder>? endpoints = null, string name = SampleModule.ModuleName) : IModule
{
    public const string ModuleName = "sample";

    // ModuleHost.Run makes one by itself.
    public SampleModule()
        : this(null)
    {
    }

    public string Name => name;

    public string Title => "Sample";

    public Assembly Migrations => typeof(SampleModule).Assembly;

    public void AddServices(ModuleBuilder module) => services?.Invoke(module);

    public void MapEndpoints(IEndpointRouteBuilder app) => endpoints?.Invoke(app);

    /// <summary>A database of the test's own with the sample module's schema in it.</summary>
    public static Task<string> DatabaseAsync(PostgresFixture postgres) =>
        postgres.CreateDatabaseAsync("sample", async connectionString =>
        {
            await using var module = SampleHost.Build(connectionString, TimeProvider.System, _ => { });
            await module.Get<Migrator>().MigrateAsync(CancellationToken.None);
        }, TestContext.Current.CancellationToken);
}

/// <summary>One replica of the sample module, without web server and silo.</summary>
internal sealed class SampleHost : IAsyncDisposable
{
    /// <summary>A P-256 key for all replicas of the tests' process.</summary>
    public static readonly string AuditKey = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256).ExportPkcs8PrivateKeyPem();

    private readonly IHost _host;

    private SampleHost(IHost host, string module)
    {
        _host = host;
        Module = module;
    }

    public string Module { get; }

    public Jobs Jobs => Get<Jobs>();

    public IServiceProvider Services => _host.Services;

    public DependencyHealth Health => _host.Services.GetRequiredService<DependencyHealth>();

    public ModuleDatabase Database => Get<ModuleDatabase>();

    public System.Diagnostics.Metrics.IMeterFactory MeterFactory => _host.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>();

    public static SampleHost Build(string connectionString, TimeProvider clock, Action<ModuleBuilder> services, string name = SampleModule.ModuleName, params (string Key, string Value)[] settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { EnvironmentName = Environments.Development });
        builder.Configuration.AddInMemoryCollection([new($"ConnectionStrings:{name}-db", connectionString), new("Audit:SigningKey", AuditKey)]);
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value)));
        builder.Services.AddSingleton(clock);
        builder.Services.AddMetrics();
        builder.Services.AddSingleton<DependencyHealth>();
        var module = new ModuleBuilder(new SampleModule(name: name), builder);
        module.AddPlatform(typeof(SampleModule).Assembly);
        services(module);
        return new SampleHost(builder.Build(), name);
    }

    public static async Task<SampleHost> StartAsync(string connectionString, TimeProvider clock, Action<ModuleBuilder> services, params (string Key, string Value)[] settings)
    {
        var sample = Build(connectionString, clock, services, settings: settings);
        await sample.StartAsync();
        return sample;
    }

    /// <summary>Returns when the schema is up.</summary>
    public async Task StartAsync()
    {
        await BeginAsync();
        await Database.WhenReadyAsync(TestContext.Current.CancellationToken);
    }

    public Task BeginAsync() => _host.StartAsync(TestContext.Current.CancellationToken);

    public T Get<T>()
        where T : notnull => _host.Services.GetRequiredKeyedService<T>(Module);

    public Task StopAsync() => _host.StopAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync(CancellationToken.None);
        if (_host is IAsyncDisposable disposable)
        {
            await disposable.DisposeAsync();
        }
    }
}
