using System.ComponentModel;
using System.Diagnostics;
using Wave16.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>On what the whole can be started on this machine.</summary>
public enum Start
{
    /// <summary>A PostgreSQL and a Redis that are there, and no broker: what a module has for it waits in its outbox.</summary>
    OnGivenServers,

    /// <summary>What the AppHost starts by itself. Only where a container runtime answers.</summary>
    OnContainers,
}

internal static class Starts
{
    /// <summary>Whether Backing.cs was compiled, or Backing.Containers.cs.</summary>
    public static bool AreForAzure { get; } = typeof(Topic).Assembly.GetReferencedAssemblies().Any(assembly => assembly.Name == "Aspire.Hosting.Azure.ServiceBus");

    public static IEnumerable<TheoryDataRow<Start>> Possible()
    {
        if (!AreForAzure)
            yield return new TheoryDataRow<Start>(Start.OnGivenServers) { Skip = RedisServer.IsMissing ? "redis-server is not on PATH." : null };
        if (Answers("docker") || Answers("podman"))
            yield return new TheoryDataRow<Start>(Start.OnContainers);
        else if (AreForAzure)
            yield return new TheoryDataRow<Start>(Start.OnContainers) { Skip = "neither Docker nor Podman answers." };
    }

    private static bool Answers(string runtime)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(runtime, ["info"]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true });
            if (process is null)
                return false;
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
