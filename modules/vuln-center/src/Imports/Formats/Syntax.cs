namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>For formats that come in more than one syntax.</summary>
internal static class Syntax
{
    // White space, byte order marks, and the other half of each character of UTF-16.
    static ReadOnlySpan<byte> BeforeText => [0x00, 0x09, 0x0A, 0x0D, 0x20, 0xBB, 0xBF, 0xEF, 0xFE, 0xFF];

    /// <summary>Whether a report begins as XML does; where the stream stands afterwards is undefined.</summary>
    public static async ValueTask<bool> IsXmlAsync(Stream report, CancellationToken cancellationToken)
    {
        var head = new byte[1_024];
        report.Position = 0;
        var length = await report.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancellationToken);
        return head.AsSpan(0, length).TrimStart(BeforeText) is [(byte)'<', ..];
    }
}
