using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Wave16.Architecture.Tests;

/// <summary>What product code never calls, read from its IL: clocks other than TimeProvider, sleeps, blocking waits, chance in rules.</summary>
public sealed class ForbiddenCallTests
{
    public static TheoryData<string, string> Planted => new()
    {
        { nameof(Plants.ReadsTheClock), "System.DateTime::get_UtcNow" },
        { nameof(Plants.ReadsTheClockWithOffset), "System.DateTimeOffset::get_Now" },
        { nameof(Plants.Sleeps), "System.Threading.Thread::Sleep" },
        { nameof(Plants.BlocksOnResult), "System.Threading.Tasks.Task`1::get_Result" },
        { nameof(Plants.BlocksOnWait), "System.Threading.Tasks.Task::Wait" },
        { nameof(Plants.BlocksOnAwaiter), "System.Runtime.CompilerServices.TaskAwaiter`1::GetResult" },
        { nameof(Plants.BlocksOnValueTask), "System.Threading.Tasks.ValueTask`1::get_Result" },
    };

    [Theory]
    [MemberData(nameof(Planted))]
    public void A_planted_call_is_found(string method, string call) =>
        Assert.Contains($"{typeof(Plants).FullName}.{method} calls {call}", FaultsOf(typeof(Plants).Assembly.Location));

    [Fact]
    public void Chance_in_rules_is_found() =>
        Assert.Contains($"{typeof(Plants).FullName}/{nameof(Plants.PlantedRules)}.Decide calls System.Guid::NewGuid", FaultsOf(typeof(Plants).Assembly.Location));

    [Fact]
    public void Awaiting_is_not_blocking() =>
        Assert.DoesNotContain(FaultsOf(typeof(Plants).Assembly.Location), fault => fault.Contains(nameof(Plants.AwaitsAsync), StringComparison.Ordinal));

    [Fact]
    public void Product_code_calls_none_of_them()
    {
        var assemblies = Repository.ProductAssemblies().ToList();
        Assert.Contains(assemblies, path => path.EndsWith("Wave16.Platform.dll", StringComparison.Ordinal));
        Assert.Empty(assemblies.SelectMany(FaultsOf));
    }

    private static IEnumerable<string> FaultsOf(string path)
    {
        using var assembly = AssemblyDefinition.ReadAssembly(path);
        return [.. from type in assembly.MainModule.GetTypes()
                   from method in type.Methods
                   where method.HasBody && method != assembly.EntryPoint
                   from instruction in method.Body.Instructions
                   where instruction.Operand is MethodReference
                   let called = (MethodReference)instruction.Operand
                   let name = $"{called.DeclaringType.GetElementType().FullName}::{called.Name}"
                   where IsForbidden(name, type, instruction)
                   select $"{type.FullName}.{method.Name} calls {name}"];
    }

    private static bool IsForbidden(string call, TypeDefinition caller, Instruction instruction) => call switch
    {
        "System.DateTime::get_UtcNow" or "System.DateTime::get_Now" or "System.DateTime::get_Today" => true,
        "System.DateTimeOffset::get_UtcNow" or "System.DateTimeOffset::get_Now" => true,
        "System.Threading.Thread::Sleep" => true,
        "System.Threading.Tasks.Task`1::get_Result" or "System.Threading.Tasks.ValueTask`1::get_Result" => !FollowsCompletionCheck(instruction),
        "System.Threading.Tasks.Task::Wait" or "System.Threading.Tasks.Task::WaitAll" or "System.Threading.Tasks.Task::WaitAny" => true,
        "System.Guid::NewGuid" or "System.Guid::CreateVersion7" => IsRules(caller),
        _ => (call.EndsWith("Awaiter::GetResult", StringComparison.Ordinal) || call.EndsWith("Awaiter`1::GetResult", StringComparison.Ordinal)) && !IsStateMachine(caller),
    };

    // The only reading of Result that cannot block: behind a check that the task has completed.
    private static bool FollowsCompletionCheck(Instruction read)
    {
        for (var before = read.Previous; before is not null; before = before.Previous)
        {
            if (before.Operand is MethodReference { Name: "get_IsCompletedSuccessfully" })
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsStateMachine(TypeDefinition type) =>
        type.Interfaces.Any(implemented => implemented.InterfaceType.FullName == "System.Runtime.CompilerServices.IAsyncStateMachine");

    private static bool IsRules(TypeDefinition type)
    {
        for (var owner = type; owner is not null; owner = owner.DeclaringType)
        {
            if (owner.Name.EndsWith("Rules", StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>Violations on purpose; the test above must find each.</summary>
internal static class Plants
{
    public static DateTime ReadsTheClock() => DateTime.UtcNow;

    public static DateTimeOffset ReadsTheClockWithOffset() => DateTimeOffset.Now;

    public static void Sleeps() => Thread.Sleep(1);

    public static int BlocksOnResult(Task<int> task) => task.Result;

    public static void BlocksOnWait(Task task) => task.Wait(CancellationToken.None);

    public static int BlocksOnAwaiter(Task<int> task) => task.GetAwaiter().GetResult();

    public static int BlocksOnValueTask(ValueTask<int> task) => task.Result;

    public static async Task<int> AwaitsAsync(Task<int> task) => await task;

    internal static class PlantedRules
    {
        public static Guid Decide() => Guid.NewGuid();
    }
}
