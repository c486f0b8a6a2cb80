using Wave16.Neighbours;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddNeighbours();
builder.Services.AddHealthChecks();

var app = builder.Build();
app.MapHealthChecks("/health");
app.MapHealthChecks("/alive");
app.MapNeighbours();
await app.RunAsync();
