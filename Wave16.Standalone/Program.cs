using Wave16.Standalone;

return await StandaloneHost.RunAsync(args);
