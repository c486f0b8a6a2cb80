namespace Wave16.AppHost.Tests.WithoutAspire;

public sealed class SentenceTests
{
    [Fact]
    public async Task Without_Aspire_the_AppHost_says_in_one_sentence_what_is_missing_and_fails()
    {
        var (exitCode, output, error) = await Dotnet.Run(AppContext.BaseDirectory, ["exec", "Wave16.AppHost.dll"]);

        Assert.Equal(1, exitCode);
        Assert.Empty(output);
        var sentence = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("Aspire.Hosting", sentence, StringComparison.Ordinal);
        Assert.Contains("dotnet run --project Wave16.Standalone", sentence, StringComparison.Ordinal);
    }
}
