namespace Wave16.AppHost.Tests;

public sealed class GateTests : IDisposable
{
    private readonly GateSandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public async Task A_project_built_before_any_feed_was_asked_uses_Aspire()
    {
        _sandbox.CreateFeed("feed", withAspire: false);

        Assert.Equal("true", await _sandbox.Build("Reader.csproj"));
        Assert.Empty(_sandbox.AnswerFiles);
    }

    [Fact]
    public async Task A_feed_that_carries_Aspire_is_used_and_one_that_does_not_is_not()
    {
        _sandbox.CreateFeed("feed", withAspire: false);
        _sandbox.CreateFeed("full", withAspire: true);

        Assert.Equal("false", await _sandbox.Build());
        Assert.Equal("false", await _sandbox.Build("Reader.csproj"));
        _sandbox.UseFeed("full");
        Assert.Equal("true", await _sandbox.Build());
        _sandbox.UseFeed("feed");
        Assert.Equal("false", await _sandbox.Build("Reader.csproj"));
    }

    [Fact]
    public async Task An_answer_is_kept_for_a_day_and_then_asked_again()
    {
        _sandbox.CreateFeed("feed", withAspire: false);
        Assert.Equal("false", await _sandbox.Build());
        Directory.Delete(_sandbox.Feed("feed"));
        _sandbox.CreateFeed("feed", withAspire: true);

        _sandbox.AgeAnswers(TimeSpan.FromHours(23));
        Assert.Equal("false", await _sandbox.Build());
        _sandbox.AgeAnswers(TimeSpan.FromHours(2));
        Assert.Equal("true", await _sandbox.Build());
    }

    [Fact]
    public async Task A_feed_that_did_not_answer_is_asked_again_after_a_minute()
    {
        Assert.Equal("false", await _sandbox.Build());

        _sandbox.CreateFeed("feed", withAspire: true);
        Assert.Equal("false", await _sandbox.Build());
        _sandbox.AgeAnswers(TimeSpan.FromMinutes(1));
        Assert.Equal("true", await _sandbox.Build());
    }

    [Fact]
    public async Task An_explicit_value_wins_and_no_feed_is_asked()
    {
        _sandbox.CreateFeed("feed", withAspire: false);

        Assert.Equal("true", await _sandbox.Build("Gate.slnx", "-p:UseAspire=true"));
        Assert.Equal("false", await _sandbox.Build("Reader.csproj", "-p:UseAspire=false"));
        Assert.Empty(_sandbox.AnswerFiles);
    }

    [Fact]
    public async Task Feeds_named_on_the_command_line_are_the_ones_asked()
    {
        _sandbox.CreateFeed("feed", withAspire: false);
        _sandbox.CreateFeed("full", withAspire: true);
        var sources = $"-p:RestoreSources={_sandbox.Feed("feed")}%3B{_sandbox.Feed("full")}";

        Assert.Equal("false", await _sandbox.Build());
        Assert.Equal("true", await _sandbox.Build("Gate.slnx", sources));
        Assert.Equal("false", await _sandbox.Build());
    }

    [Fact]
    public async Task Two_builds_at_once_read_one_answer_and_leave_nothing_else_behind()
    {
        _sandbox.CreateFeed("feed", withAspire: false);

        Assert.Equal(["false", "false"], await Task.WhenAll(_sandbox.Build(), _sandbox.Build()));
        Assert.Single(_sandbox.AnswerFiles);
    }
}
