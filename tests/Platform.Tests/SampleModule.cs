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
internal sealed class SampleModule(Action<ModuleBuilder>? services = null, Action<IEndpointRouteBuilder>? endpoints = null) : IModule
{
    public const string ModuleName = "sample";

    public string Name => ModuleName;

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

    private SampleHost(IHost host) => _host = host;

    public Jobs Jobs => Get<Jobs>();

    public DependencyHealth Health => _host.Services.GetRequiredService<DependencyHealth>();

    public ModuleDatabase Database => Get<ModuleDatabase>();

    public System.Diagnostics.Metrics.IMeterFactory MeterFactory => _host.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>();

    public static SampleHost Build(string connectionString, TimeProvider clock, Action<ModuleBuilder> services)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { EnvironmentName = Environments.Development });
        builder.Configuration.AddInMemoryCollection([new($"ConnectionStrings:{SampleModule.ModuleName}-db", connectionString), new("Audit:SigningKey", AuditKey)]);
        builder.Services.AddSingleton(clock);
        builder.Services.AddMetrics();
        builder.Services.AddSingleton<DependencyHealth>();
        var module = new ModuleBuilder(new SampleModule(), builder);
        module.AddPlatform(typeof(SampleModule).Assembly);
        services(module);
        return new SampleHost(builder.Build());
    }

    public static async Task<SampleHost> StartAsync(string connectionString, TimeProvider clock, Action<ModuleBuilder> services)
    {
        var sample = Build(connectionString, clock, services);
        await sample._host.StartAsync(TestContext.Current.CancellationToken);
        await sample.Database.WhenReadyAsync(TestContext.Current.CancellationToken);
        return sample;
    }

    public T Get<T>()
        where T : notnull => _host.Services.GetRequiredKeyedService<T>(SampleModule.ModuleName);

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
