using System.ComponentModel;
using System.Diagnostics;

namespace Wave16.LocalPostgres;

/// <summary>A program that runs to its end.</summary>
internal static class Command
{
    public sealed record Outcome(int ExitCode, string Text);

    /// <summary>Runs it and returns its exit code and what it wrote; a program that cannot be started counts as 127, as in a shell.</summary>
    public static async Task<Outcome> RunAsync(ProcessStartInfo start, CancellationToken cancellationToken)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        try
        {
            using var process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start.");
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var errors = process.StandardError.ReadToEndAsync(cancellationToken);
            try
            {
                await process.WaitForExitAsync(cancellationToken);
                return new(process.ExitCode, await output + await errors);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }
        }
        catch (Win32Exception failure)
        {
            return new(127, failure.Message);
        }
    }
}
