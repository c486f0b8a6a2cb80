using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;

namespace Wave16.VulnCenter.Contracts;

public sealed partial class VulnCenterClient
{
    /// <summary><c>POST /findings/status</c>: each finding by itself; see the outcomes.</summary>
    public Task<BulkAnswer> ChangeStatusesAsync(BulkStatusChange change, string? idempotencyKey = null, CancellationToken cancellation = default) =>
        PostAsync<BulkStatusChange, BulkAnswer>("findings/status", change, idempotencyKey, cancellation);

    /// <summary><c>PUT /findings/{id}/suppression</c>.</summary>
    /// <param name="version">The finding's version that the change was made against.</param>
    public Task<FindingDetail> SuppressAsync(Guid id, long version, SuppressionChange change, CancellationToken cancellation = default) =>
        PutAsync<SuppressionChange, FindingDetail>($"findings/{id:D}/suppression", version, change, cancellation);

    /// <summary><c>DELETE /findings/{id}/suppression</c>.</summary>
    public Task<FindingDetail> LiftSuppressionAsync(Guid id, long version, string reason, CancellationToken cancellation = default) =>
        DeleteAsync($"findings/{id:D}/suppression", version, reason, cancellation);

    /// <summary><c>POST /findings/suppression</c>: each finding by itself; see the outcomes.</summary>
    public Task<BulkAnswer> SuppressAsync(BulkSuppressionChange change, string? idempotencyKey = null, CancellationToken cancellation = default) =>
        PostAsync<BulkSuppressionChange, BulkAnswer>("findings/suppression", change, idempotencyKey, cancellation);

    /// <summary><c>PUT /findings/{id}/severity</c>.</summary>
    public Task<FindingDetail> OverrideSeverityAsync(Guid id, long version, SeverityChange change, CancellationToken cancellation = default) =>
        PutAsync<SeverityChange, FindingDetail>($"findings/{id:D}/severity", version, change, cancellation);

    /// <summary><c>DELETE /findings/{id}/severity</c>.</summary>
    public Task<FindingDetail> RestoreSeverityAsync(Guid id, long version, string reason, CancellationToken cancellation = default) =>
        DeleteAsync($"findings/{id:D}/severity", version, reason, cancellation);

    /// <summary><c>PUT /findings/{id}/assignee</c>.</summary>
    public Task<FindingDetail> AssignAsync(Guid id, long version, AssigneeChange change, CancellationToken cancellation = default) =>
        PutAsync<AssigneeChange, FindingDetail>($"findings/{id:D}/assignee", version, change, cancellation);

    /// <summary><c>GET /findings/policies/sla</c>.</summary>
    public Task<PolicyView<SlaPolicies>> GetSlaPoliciesAsync(CancellationToken cancellation = default) => GetAsync<PolicyView<SlaPolicies>>("findings/policies/sla", cancellation);

    /// <summary><c>PUT /findings/policies/sla</c>; the findings are judged anew: <see cref="GetRecomputationAsync"/>.</summary>
    /// <param name="version">0 where the tenant never said anything.</param>
    public Task<PolicyView<SlaPolicies>> PutSlaPoliciesAsync(long version, SlaPolicies policies, CancellationToken cancellation = default) =>
        PutAsync<SlaPolicies, PolicyView<SlaPolicies>>("findings/policies/sla", version, policies, cancellation);

    /// <summary><c>GET /findings/policies/gate</c>.</summary>
    public Task<PolicyView<GatePolicy>> GetGatePolicyAsync(CancellationToken cancellation = default) => GetAsync<PolicyView<GatePolicy>>("findings/policies/gate", cancellation);

    /// <summary><c>PUT /findings/policies/gate</c>.</summary>
    public Task<PolicyView<GatePolicy>> PutGatePolicyAsync(long version, GatePolicy policy, CancellationToken cancellation = default) =>
        PutAsync<GatePolicy, PolicyView<GatePolicy>>("findings/policies/gate", version, policy, cancellation);

    /// <summary><c>GET /findings/services/{service}</c>.</summary>
    public Task<ServiceView> GetServiceAsync(string service, CancellationToken cancellation = default) =>
        GetAsync<ServiceView>($"findings/services/{Uri.EscapeDataString(service)}", cancellation);

    /// <summary><c>PUT /findings/services/{service}</c>.</summary>
    /// <param name="version">0 where nothing is known of the service yet.</param>
    public Task<ServiceView> PutServiceAsync(string service, long version, ServiceProfile profile, CancellationToken cancellation = default) =>
        PutAsync<ServiceProfile, ServiceView>($"findings/services/{Uri.EscapeDataString(service)}", version, profile, cancellation);

    /// <summary><c>GET /findings/recomputations/{id}</c>.</summary>
    public Task<Recomputation> GetRecomputationAsync(Guid id, CancellationToken cancellation = default) => GetAsync<Recomputation>($"findings/recomputations/{id:D}", cancellation);

    /// <summary><c>GET /findings/scans/{id}</c>.</summary>
    public Task<Scan> GetScanAsync(Guid id, CancellationToken cancellation = default) => GetAsync<Scan>($"findings/scans/{id:D}", cancellation);

    private async Task<T> GetAsync<T>(string path, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address(path));
        return await SendAsync<T>(request, cancellation);
    }

    private async Task<TAnswer> PostAsync<TBody, TAnswer>(string path, TBody body, string? idempotencyKey, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address(path)) { Content = JsonContent.Create(body, options: Json) };
        AddKey(request, idempotencyKey);
        return await SendAsync<TAnswer>(request, cancellation);
    }

    private async Task<TAnswer> PutAsync<TBody, TAnswer>(string path, long version, TBody body, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, Address(path)) { Content = JsonContent.Create(body, options: Json) };
        request.Headers.IfMatch.Add(Tag(version));
        return await SendAsync<TAnswer>(request, cancellation);
    }

    private async Task<FindingDetail> DeleteAsync(string path, long version, string reason, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, Address(path, new Dictionary<string, string> { ["reason"] = reason }));
        request.Headers.IfMatch.Add(Tag(version));
        return await SendAsync<FindingDetail>(request, cancellation);
    }

    private static EntityTagHeaderValue Tag(long version) => new(string.Create(CultureInfo.InvariantCulture, $"\"{version}\""));
}
