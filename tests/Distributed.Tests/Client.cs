using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace Wave16.Distributed.Tests;

/// <summary>A client of a module that knows all its replicas, as an ingress does: in turn, and past one that does not answer.</summary>
internal sealed class Client(Func<IReadOnlyList<Replica>> replicas, string token) : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(2) }) { Timeout = TimeSpan.FromSeconds(35) };
    private int _turn;

    /// <summary>
    /// Sends until somebody has dealt with it: a connection that fails, and a 503, go to the next replica after what Retry-After says.
    /// The request is made anew each time, so its Idempotency-Key must be in what makes it.
    /// </summary>
    /// <param name="tries">Given up, and the last failure returned or thrown, after so many.</param>
    public async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, int tries, CancellationToken cancellation)
    {
        var turn = (uint)Interlocked.Increment(ref _turn);
        for (var left = tries; ; left--)
        {
            try
            {
                var answer = await SendOnceAsync(make, turn++, cancellation);
                if (left == 1 || !IsPassing(answer.StatusCode))
                {
                    return answer;
                }

                using (answer)
                {
                    await Task.Delay(answer.Headers.RetryAfter?.Delta is { } wait && wait < TimeSpan.FromSeconds(1) ? wait : TimeSpan.FromMilliseconds(200), cancellation);
                }
            }
            catch (Exception lost) when (left > 1 && (lost is HttpRequestException || (lost is TaskCanceledException && !cancellation.IsCancellationRequested)))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), cancellation);
            }
        }
    }

    public async Task<JsonElement> GetAsync(string path, int tries, CancellationToken cancellation)
    {
        using var answer = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), tries, cancellation);
        answer.EnsureSuccessStatusCode();
        return await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
    }

    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(Func<HttpRequestMessage> make, uint turn, CancellationToken cancellation)
    {
        var all = replicas();
        using var request = make();
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        request.RequestUri = new Uri(all[(int)(turn % all.Count)].Address, request.RequestUri ?? throw new InvalidOperationException("A request needs an address."));
        return await _http.SendAsync(request, cancellation);
    }

    private static bool IsPassing(HttpStatusCode status) => status is HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout;
}
