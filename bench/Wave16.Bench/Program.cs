using Wave16.Bench;

Dictionary<string, Func<Ground, CancellationToken, Task>> benchmarks = new(StringComparer.Ordinal)
{
    ["import"] = ImportBenchmark.RunAsync,
    ["import-apart"] = ImportBenchmark.RunToldApartAsync,
    ["import-stale"] = StaleStatisticsBenchmark.RunAsync,
    ["import-200mb"] = LargeImportBenchmark.RunAsync,
    ["artifact-100mb"] = ArtifactBenchmark.RunAsync,
    ["dedup-trial"] = TrialBenchmark.RunAsync,
    ["feeds"] = FeedsBenchmark.RunAsync,
    ["findings"] = FindingsBenchmark.RunAsync,
    ["save"] = SaveBenchmark.RunAsync,
    ["pipeline"] = PipelineBenchmark.RunAsync,
    ["events"] = EventsBenchmark.RunAsync,
    ["broker"] = BrokerBenchmark.RunAsync,
    ["audit"] = AuditBenchmark.RunAsync,
};

if (args is not [var name] || (name != "all" && !benchmarks.ContainsKey(name)))
{
    await Console.Error.WriteLineAsync($"usage: Wave16.Bench {string.Join('|', benchmarks.Keys)}|all");
    return 2;
}

using var stopping = new CancellationTokenSource();
Console.CancelKeyPress += (_, key) =>
{
    key.Cancel = true;
    stopping.Cancel();
};
await using var ground = await Ground.StartAsync(stopping.Token);
Console.WriteLine($"{TimeProvider.System.GetUtcNow():yyyy-MM-dd}, {ground.MachineClass}");
foreach (var (key, run) in benchmarks)
{
    if (name == "all" || name == key)
    {
        await run(ground, stopping.Token);
    }
}

return 0;
