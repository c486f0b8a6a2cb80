// Compiled in place of AppHost.cs and Backing.cs when the feeds do not carry Aspire (Gate/UseAspire.props).
Console.Error.WriteLine(
    "This AppHost was built without Aspire, because the package feeds in use do not carry Aspire.Hosting; " +
    "add a feed that does and build the solution again, or start everything without it: dotnet run --project Wave16.Standalone");
return 1;
