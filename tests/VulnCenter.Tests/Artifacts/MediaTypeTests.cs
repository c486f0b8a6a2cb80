using System.Text;
using Wave16.VulnCenter.Artifacts;

namespace Wave16.VulnCenter.Tests.Artifacts;

public sealed class MediaTypeTests
{
    private const string Png = "\u0089PNG\r\n\u001a\n";

    [Theory]
    [InlineData("image/png", Png, "image/png")]
    [InlineData("IMAGE/PNG; q=1", Png, "image/png")]
    [InlineData(null, Png, "image/png")]
    [InlineData("application/octet-stream", Png, "image/png")]
    [InlineData("application/octet-stream", "{\"a\":1}", "text/plain")]
    [InlineData("application/octet-stream", "a\u0000b", "artifact.type-not-allowed")]
    [InlineData("image/jpeg", Png, "artifact.type-mismatch")]
    [InlineData("image/png", "<svg>", "artifact.type-mismatch")]
    [InlineData("text/plain", Png, "artifact.type-mismatch")]
    [InlineData("text/plain", "a\u0000b", "artifact.type-mismatch")]
    [InlineData("text/plain", "\u00ff\u00fe", "artifact.type-mismatch")]
    [InlineData("text/plain", "<script>alert(1)</script>", "text/plain")]
    [InlineData("text/plain", "MZ is a name", "text/plain")]
    [InlineData("text/plain", "MZ\u0090\u0000\u0003", "artifact.type-not-allowed")]
    [InlineData("text/plain", "\u007fELF\u0002\u0001", "artifact.type-not-allowed")]
    [InlineData("application/zip", "\u007fELF\u0002\u0001", "artifact.type-not-allowed")]
    [InlineData("text/html", "<html>", "artifact.type-not-allowed")]
    [InlineData("image/svg+xml", "<svg/>", "artifact.type-not-allowed")]
    [InlineData("application/javascript", "alert(1)", "artifact.type-not-allowed")]
    [InlineData("no type", "abc", "artifact.type-not-allowed")]
    [InlineData("application/json", " \n[1]", "application/json")]
    [InlineData("application/json", "\u00ef\u00bb\u00bf{}", "application/json")]
    [InlineData("application/json", "<xml/>", "artifact.type-mismatch")]
    [InlineData("application/xml", "\u00ef\u00bb\u00bf<?xml version=\"1.0\"?>", "application/xml")]
    [InlineData("text/xml", "{}", "artifact.type-mismatch")]
    [InlineData("application/pdf", "%PDF-1.7", "application/pdf")]
    [InlineData("application/pdf", "PDF", "artifact.type-mismatch")]
    [InlineData("image/webp", "RIFF\u0001\u0000\u0000\u0000WEBP", "image/webp")]
    [InlineData("application/vnd.tcpdump.pcap", "\u00d4\u00c3\u00b2\u00a1", "application/vnd.tcpdump.pcap")]
    public void What_is_declared_must_be_taken_and_what_is_there_must_be_it(string? declared, string content, string expected)
    {
        var (type, refusal) = MediaTypes.Judge(declared, Encoding.Latin1.GetBytes(content), "/parts/0");
        Assert.Equal(expected, type ?? refusal?.Code);
        Assert.Equal(refusal is null ? null : "/parts/0", refusal?.Errors?[0].Pointer);
    }

    [Fact]
    public void A_character_that_the_look_cuts_in_two_is_no_reason_to_take_text_for_something_else()
    {
        var head = Encoding.UTF8.GetBytes(new string('a', MediaTypes.HeadBytes - 1) + "é").AsSpan(0, MediaTypes.HeadBytes).ToArray();
        Assert.Equal("text/plain", MediaTypes.Judge("text/plain", head, "/parts/0").Type);
        Assert.Null(MediaTypes.Judge("text/plain", head.AsSpan(1), "/parts/0").Type);
    }
}
