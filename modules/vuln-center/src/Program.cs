using Wave16.Platform.Modules;
using Wave16.VulnCenter;

return await ModuleHost.Run<VulnCenterModule>(args);
