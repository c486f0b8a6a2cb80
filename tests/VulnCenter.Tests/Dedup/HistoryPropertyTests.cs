using CsCheck;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>
/// Random histories of reports, un-merges, rules, groups, aliases and suppressions, in any order, against a model in memory. A seed is
/// always the same history; one that fails is cut down to the steps that it takes. A tenant for each.
/// </summary>
public sealed class HistoryPropertyTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const int Length = 14;
    private const int MostAttempts = 80;

    public static TheoryData<uint> Seeds => [.. Enumerable.Range(1, 8).Select(seed => (uint)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task After_any_history_nothing_is_lost_joined_again_closed_unseen_or_grouped_otherwise_than_documented(uint seed)
    {
        IReadOnlyList<HistoryStep> steps = Steps(seed, Length);
        if (await FailureAsync($"history-{seed}", steps) is not { } failure)
        {
            return;
        }

        for (var attempt = 1; attempt <= MostAttempts;)
        {
            var smaller = await SmallerAsync(steps, () => attempt++ <= MostAttempts ? $"history-{seed}-{attempt}" : null);
            if (smaller is not { } found)
            {
                break;
            }

            (steps, failure) = found;
        }

        Assert.Fail($"{failure}\nIt takes:\n{string.Join('\n', steps)}");
    }

    [Fact]
    public async Task In_a_long_history_steps_of_every_kind_do_something()
    {
        var history = await RunAsync("history-long", Steps(0, 3 * Length));

        Assert.Equal(8, history.Done.Count);
        Assert.InRange(history.Done[nameof(HistoryStep.Unmerge)], 3, int.MaxValue);
    }

    private static List<HistoryStep> Steps(uint seed, int count) => HistoryStep.All.List[count].Generate(new PCG(1, seed), null, out _);

    private async Task<(IReadOnlyList<HistoryStep> Steps, string Failure)?> SmallerAsync(IReadOnlyList<HistoryStep> steps, Func<string?> tenant)
    {
        foreach (var shorter in Shorter(steps))
        {
            if (tenant() is not { } name)
            {
                break;
            }

            if (await FailureAsync(name, shorter) is { } failure)
            {
                return (shorter, failure);
            }
        }

        return null;
    }

    /// <summary>Without a step, the latest first; without a result of a report.</summary>
    private static IEnumerable<IReadOnlyList<HistoryStep>> Shorter(IReadOnlyList<HistoryStep> steps) =>
        Enumerable.Range(0, steps.Count).Reverse().Select(IReadOnlyList<HistoryStep> (i) => [.. steps.Take(i), .. steps.Skip(i + 1)])
            .Concat(from at in Enumerable.Range(0, steps.Count)
                    where steps[at] is HistoryStep.Report { Results.Count: > 1 }
                    let report = (HistoryStep.Report)steps[at]
                    from left in Enumerable.Range(0, report.Results.Count)
                    select (IReadOnlyList<HistoryStep>)[.. steps.Take(at), report with { Results = [.. report.Results.Take(left), .. report.Results.Skip(left + 1)] }, .. steps.Skip(at + 1)]);

    /// <summary>Null when all that must hold does; else what does not, or how it broke.</summary>
    private async Task<string?> FailureAsync(string tenant, IReadOnlyList<HistoryStep> steps)
    {
        try
        {
            await RunAsync(tenant, steps);
            return null;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return e.Message;
        }
    }

    private async Task<History> RunAsync(string tenant, IReadOnlyList<HistoryStep> steps)
    {
        using var client = await host.OperatorAsync(tenant);
        var history = new History(host, client, tenant);
        foreach (var step in steps)
        {
            await history.ApplyAsync(step);
        }

        return history;
    }
}
