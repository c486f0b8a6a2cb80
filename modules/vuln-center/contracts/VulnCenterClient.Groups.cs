using System.Net.Http.Headers;
using System.Net.Http.Json;

namespace Wave16.VulnCenter.Contracts;

public sealed partial class VulnCenterClient
{
    /// <summary><c>GET /findings/groups</c>.</summary>
    /// <param name="filter">Query parameters by name: <c>service</c>, <c>limit</c>, <c>cursor</c>.</param>
    public async Task<GroupPage> ListGroupsAsync(IReadOnlyDictionary<string, string> filter, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/groups", filter));
        return await SendAsync<GroupPage>(request, cancellation);
    }

    /// <summary><c>GET /findings/groups/{id}</c>.</summary>
    public async Task<FindingGroup> GetGroupAsync(Guid id, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/groups/{id:D}"));
        return await SendAsync<FindingGroup>(request, cancellation);
    }

    /// <summary><c>POST /findings/groups</c>: says that findings are one problem; all of the links or none.</summary>
    /// <exception cref="VulnCenterException">404 for an unknown finding, 409 when some of them are kept apart.</exception>
    public async Task<GroupsChanged> LinkAsync(IReadOnlyList<GroupLink> links, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address("findings/groups"));
        request.Content = JsonContent.Create(new GroupLinks(Groups: links), options: Json);
        AddKey(request, idempotencyKey);
        return await SendAsync<GroupsChanged>(request, cancellation);
    }

    /// <summary><c>POST /findings/groups/split</c>: takes findings out of groups for good; all of the splits or none.</summary>
    /// <exception cref="VulnCenterException">404 for an unknown group, 422 when a finding is not in it.</exception>
    public async Task<GroupsChanged> SplitAsync(IReadOnlyList<GroupSplitOf> splits, string? idempotencyKey = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address("findings/groups/split"));
        request.Content = JsonContent.Create(new GroupSplits(splits), options: Json);
        AddKey(request, idempotencyKey);
        return await SendAsync<GroupsChanged>(request, cancellation);
    }

    /// <summary><c>GET /findings/feeds</c>.</summary>
    public async Task<FeedList> ListFeedsAsync(CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address("findings/feeds"));
        return await SendAsync<FeedList>(request, cancellation);
    }

    /// <summary><c>PUT /findings/feeds/{name}</c>: sends a feed as it is published. Findings may not agree with it yet afterwards: <see cref="WaitAsync(FeedUpdate, CancellationToken)"/>.</summary>
    /// <param name="name"><c>epss</c>, <c>kev</c> or <c>aliases</c>.</param>
    /// <param name="feed">Read once, not closed; a gzip file may be sent as it is.</param>
    /// <param name="parameters">Query parameters by name: <c>force</c>; <c>source</c> and <c>replace</c> for aliases.</param>
    /// <exception cref="VulnCenterException">422 with the place when the feed is wrong, 409 when it is older than the one held; nothing of it is kept.</exception>
    public async Task<FeedUpdate> PutFeedAsync(
        string name, Stream feed, IReadOnlyDictionary<string, string>? parameters = null, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, Address($"findings/feeds/{Uri.EscapeDataString(name)}", parameters));
        request.Content = new StreamContent(new LeftOpen(feed));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        return await SendAsync<FeedUpdate>(request, cancellation);
    }

    /// <summary><c>GET /findings/feeds/updates/{id}</c> until it has succeeded, failed or been cancelled.</summary>
    public async Task<FeedUpdate> WaitAsync(FeedUpdate update, CancellationToken cancellation = default)
    {
        while (update is { Id: { } id, State: "queued" or "running" })
        {
            await Task.Delay(BetweenLooks, _clock, cancellation);
            using var request = new HttpRequestMessage(HttpMethod.Get, Address($"findings/feeds/updates/{id:D}"));
            update = await SendAsync<FeedUpdate>(request, cancellation);
        }

        return update;
    }
}
