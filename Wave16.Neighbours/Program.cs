using Wave16.Neighbours;
using Wave16.ServiceDefaults;

var builder = WebApplication.CreateBuilder(new WebApplicationOptions
{
    Args = args,
    // Never deployed, so Development unless told otherwise.
    EnvironmentName = Environment.GetEnvironmentVariable("ASPNETCORE_ENVIRONMENT") ?? Environments.Development,
});
builder.AddServiceDefaults("neighbours");
builder.Services.AddNeighbours();

var app = builder.Build();
app.UseServiceDefaults();
app.MapServiceDefaults();
app.MapNeighbours();
await app.RunAsync();
