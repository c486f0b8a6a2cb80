namespace Wave16.AppHost.Tests;

public sealed class GateTests : IDisposable
{
    private readonly GateSandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public async Task A_project_built_before_any_feed_was_asked_uses_Aspire()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);

        Assert.Equal("true/true", await _sandbox.Build("Reader.csproj"));
        Assert.Empty(_sandbox.AnswerFiles);
    }

    [Fact]
    public async Task A_feed_that_carries_Aspire_is_used_and_one_that_does_not_is_not()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);
        _sandbox.CreateFeed("full", Carries.Azure);

        Assert.Equal("false/false", await _sandbox.Build());
        Assert.Equal("false/false", await _sandbox.Build("Reader.csproj"));
        _sandbox.UseFeed("full");
        Assert.Equal("true/true", await _sandbox.Build());
        _sandbox.UseFeed("feed");
        Assert.Equal("false/false", await _sandbox.Build("Reader.csproj"));
    }

    [Fact]
    public async Task An_answer_is_kept_for_a_day_and_then_asked_again()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);
        Assert.Equal("false/false", await _sandbox.Build());
        Directory.Delete(_sandbox.Feed("feed"));
        _sandbox.CreateFeed("feed", Carries.Azure);

        _sandbox.AgeAnswers(TimeSpan.FromHours(23));
        Assert.Equal("false/false", await _sandbox.Build());
        _sandbox.AgeAnswers(TimeSpan.FromHours(2));
        Assert.Equal("true/true", await _sandbox.Build());
    }

    [Fact]
    public async Task A_feed_that_did_not_answer_is_asked_again_after_a_minute()
    {
        Assert.Equal("false/false", await _sandbox.Build());

        _sandbox.CreateFeed("feed", Carries.Azure);
        Assert.Equal("false/false", await _sandbox.Build());
        _sandbox.AgeAnswers(TimeSpan.FromMinutes(1));
        Assert.Equal("true/true", await _sandbox.Build());
    }

    [Fact]
    public async Task A_feed_that_carries_all_but_the_Azure_packages_gives_Aspire_without_Azure()
    {
        _sandbox.CreateFeed("feed", Carries.AllButAzure);

        Assert.Equal("true/false", await _sandbox.Build());
        Assert.Equal("true/false", await _sandbox.Build("Reader.csproj"));
    }

    [Fact]
    public async Task A_feed_that_carries_the_Azure_packages_in_another_version_gives_Aspire_without_Azure()
    {
        _sandbox.CreateFeed("feed", Carries.AllButAzure);
        _sandbox.AddPackage("feed", "Aspire.Hosting.Azure.Redis", "0.0.1");

        Assert.Equal("true/false", await _sandbox.Build());
    }

    [Fact]
    public async Task A_feed_that_lacks_one_package_that_is_not_for_Azure_gives_none()
    {
        _sandbox.CreateFeed("feed", Carries.AllButAzure);
        _sandbox.RemovePackage("feed", "Aspire.Hosting.Orleans");
        _sandbox.AddPackage("feed", "Aspire.Hosting.Orleans", "0.0.1");

        Assert.Equal("false/false", await _sandbox.Build());
    }

    [Fact]
    public async Task An_explicit_value_wins_and_no_feed_is_asked_when_both_are_given_or_there_is_no_Aspire()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);

        Assert.Equal("true/true", await _sandbox.Build("Gate.slnx", "-p:UseAspire=true", "-p:UseAspireAzure=true"));
        Assert.Equal("true/false", await _sandbox.Build("Reader.csproj", "-p:UseAspire=true", "-p:UseAspireAzure=false"));
        Assert.StartsWith("false/", await _sandbox.Build("Gate.slnx", "-p:UseAspire=false"), StringComparison.Ordinal);
        Assert.Empty(_sandbox.AnswerFiles);
    }

    [Fact]
    public async Task Of_two_values_the_feed_answers_for_the_one_that_is_not_given()
    {
        _sandbox.CreateFeed("feed", Carries.AllButAzure);

        Assert.Equal("true/false", await _sandbox.Build("Gate.slnx", "-p:UseAspire=true"));
        Assert.Equal("true/true", await _sandbox.Build("Gate.slnx", "-p:UseAspireAzure=true"));
        Assert.Single(_sandbox.AnswerFiles);
    }

    [Fact]
    public async Task Feeds_named_on_the_command_line_are_the_ones_asked()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);
        _sandbox.CreateFeed("full", Carries.Azure);
        var sources = $"-p:RestoreSources={_sandbox.Feed("feed")}%3B{_sandbox.Feed("full")}";

        Assert.Equal("false/false", await _sandbox.Build());
        Assert.Equal("true/true", await _sandbox.Build("Gate.slnx", sources));
        Assert.Equal("false/false", await _sandbox.Build());
    }

    [Fact]
    public async Task Two_builds_at_once_read_one_answer_and_leave_nothing_else_behind()
    {
        _sandbox.CreateFeed("feed", Carries.Nothing);

        Assert.Equal(["false/false", "false/false"], await Task.WhenAll(_sandbox.Build(), _sandbox.Build()));
        Assert.Single(_sandbox.AnswerFiles);
    }
}
