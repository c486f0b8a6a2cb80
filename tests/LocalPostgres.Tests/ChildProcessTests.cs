using System.Diagnostics;
using Wave16.Testing;

namespace Wave16.LocalPostgres.Tests;

public sealed class ChildProcessTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_it_says_on_either_stream_can_be_waited_for_in_turn_and_is_kept()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no sh");
        await using var child = await ShellAsync("echo one; echo two >&2; echo three; exit 3");

        Assert.Equal("one", await child.SaysAsync("on", Cancelled));
        Assert.Equal(3, await child.ExitAsync(Cancelled));
        Assert.Equal(["one", "three", "two"], child.Output.Split('\n').Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task One_that_ends_without_saying_what_is_waited_for_fails_the_wait_with_what_it_said()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no sh");
        await using var child = await ShellAsync("echo no port is free");

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => child.SaysAsync("Ready", Cancelled));

        Assert.Contains("no port is free", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Killed_it_is_gone_at_once_and_its_exit_waits_for_who_still_has_its_output()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no sh");
        await using var child = await ShellAsync("exec 3<&0; cat <&3 & echo started; wait");
        await child.SaysAsync("started", Cancelled);

        await child.KillAsync();

        Assert.False(child.IsRunning);
        var exit = child.ExitAsync(Cancelled);
        Assert.False(exit.IsCompleted);
        child.CloseInput();
        Assert.Equal(137, await exit);
    }

    [Fact]
    public async Task A_signal_reaches_it_and_none_is_sent_to_one_that_has_ended()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no sh");
        await using var child = await ShellAsync("trap 'echo told; exit 7' TERM; echo started; while :; do read line; done");
        await child.SaysAsync("started", Cancelled);

        child.Signal(ProcessSignal.Terminate);

        Assert.Equal("told", await child.SaysAsync("told", Cancelled));
        Assert.Equal(7, await child.ExitAsync(Cancelled));
        child.Signal(ProcessSignal.Terminate);
    }

    private static Task<ChildProcess> ShellAsync(string script) => ChildProcess.StartAsync(new ProcessStartInfo("sh", ["-c", script]));
}
