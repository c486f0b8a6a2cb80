using System.ComponentModel;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Query parameters of <c>PUT /findings/feeds/{name}</c>.</summary>
internal sealed record FeedQuery(
    [property: FromQuery(Name = "force"), Description("true: also a feed that is older than the one held, empty or less than half of it; and edges that people removed.")] bool? Force,
    [property: FromQuery(Name = "source"), Description("aliases: whose edges these are; osv unless given, or as each row says.")] string? Source,
    [property: FromQuery(Name = "replace"), Description("aliases: true removes the source's edges that are stated no more.")] bool? Replace,
    [property: FromQuery(Name = "wait"), Description("Seconds to wait for the recomputation before answering 202.")] int? Wait);

internal static class FeedEndpoints
{
    private const string CurlsOwn = "application/x-www-form-urlencoded";
    private const int ReasonLength = 2_000;
    private static readonly HashSet<string> Known = QueryParameters.Of("force", "source", "replace", "wait");
    private static readonly HashSet<string> AliasesOnly = QueryParameters.Of("source", "replace");

    public static void MapFeeds(this IEndpointRouteBuilder app)
    {
        var feeds = app.MapGroup("/findings/feeds").WithTags("Feeds");
        feeds.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListFeeds").WithSummary("The feeds that are held");
        feeds.MapGet("/{name}", GetAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetFeed").WithSummary("A feed: of when, how much, from whom");
        feeds.MapPut("/{name}", PutAsync).RequireScope(VulnCenterScopes.Feeds)
            .WithName("PutFeed").WithSummary("Replace EPSS scores or the KEV catalog, or add aliases")
            .WithDescription(
                "The body is the feed as it is published, plain or gzip or zstd: EPSS as CSV, the KEV catalog as JSON or CSV, aliases as documents of the OSV schema "
                + "(one, an array, one on each line) or {\"aliases\":[{\"a\",\"b\",\"source\",\"since\"}]}. All of it or nothing. What depends on it is recomputed: 200 with what changed, or 202 and where to ask.")
            .Accepts<Stream>("application/octet-stream", "application/json", "text/csv", "application/gzip", CurlsOwn)
            .Produces<FeedUpdate>().Produces<FeedUpdate>(StatusCodes.Status202Accepted)
            .ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status413PayloadTooLarge).ProducesProblem(StatusCodes.Status422UnprocessableEntity)
            .WithMetadata(new DisableRequestSizeLimitAttribute())
            .AllowLongLived();
        feeds.MapGet("/updates/{id:guid}", GetUpdateAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("GetFeedUpdate").WithSummary("Progress and result of a feed's update");
        feeds.MapDelete("/updates/{id:guid}", CancelAsync).RequireScope(VulnCenterScopes.Feeds)
            .WithName("CancelFeedUpdate").WithSummary("Cancel a recomputation that has not finished; sending the feed again resumes it");
        feeds.MapGet("/aliases/edges", EdgesAsync).RequireScope(VulnCenterScopes.Read)
            .WithName("ListAliasEdges").WithSummary("What an advisory id is also known as, and who says so");
        feeds.MapDelete("/aliases/edges", RemoveEdgeAsync).RequireScope(VulnCenterScopes.Change)
            .WithName("RemoveAliasEdge").WithSummary("Remove an edge of aliases; it stays removed until a feed is sent with force=true")
            .Produces<FeedUpdate>().Produces<FeedUpdate>(StatusCodes.Status202Accepted).ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<FeedList>> ListAsync(Caller caller, FeedQueries feeds, CancellationToken cancellation) =>
        TypedResults.Ok(new FeedList(await feeds.ListAsync(caller.Tenant, cancellation)));

    private static async Task<Results<ETagResult<Feed>, RefusalResult>> GetAsync(string name, Caller caller, FeedQueries feeds, CancellationToken cancellation) =>
        await feeds.FindAsync(caller.Tenant, name, cancellation) is { } feed ? ETagResult.Ok(feed, feed.Version) : NotFound($"There is no feed {name}.");

    private static async Task<IResult> PutAsync(
        string name, [AsParameters] FeedQuery query, Caller caller, ImportIntake intake, FeedIntake feeds, FeedQueries updates, HttpContext http, AliasClusters clusters, CancellationToken cancellation)
    {
        if (!FeedNames.All.Contains(name, StringComparer.Ordinal))
        {
            return NotFound($"There is no feed {name}; there are {string.Join(", ", FeedNames.All)}.");
        }

        if (Validate(name, query, http.Request.Query) is { } invalid)
        {
            return invalid.ToResult();
        }

        await AssumeGzipAsync(http, cancellation);
        var spool = await intake.ReceiveAsync(http, caller.Tenant, cancellation);
        FeedChange change = name switch
        {
            FeedNames.Epss => new EpssChange(),
            FeedNames.Kev => new KevChange(await StartsAsJsonAsync(spool.Content, cancellation)),
            _ => new AliasesChange(clusters, query.Source, query.Replace == true, query.Force == true),
        };
        spool.Content.Position = 0;
        var (taken, refusal) = await feeds.TakeAsync(caller.Tenant, caller.Subject, name, change, spool.Content, spool.Digest, query.Force == true, cancellation);
        return taken is null ? Refused(refusal) : await AnswerAsync(name, taken, query.Wait, caller.Tenant, updates, http, cancellation);
    }

    private static async Task<IResult> AnswerAsync(
        string name, FeedTaken taken, int? wait, string tenant, FeedQueries updates, HttpContext http, CancellationToken cancellation)
    {
        http.Response.Headers.ETag = new ETagVersion(taken.Version).ToString();
        if (taken.Job is not { } job)
        {
            return TypedResults.Ok(FeedQueries.Unchanged(name, taken));
        }

        var update = await updates.WaitAsync(tenant, job, wait, cancellation) ?? throw new InvalidOperationException($"Update {job} vanished.");
        return update.State is "succeeded" or "failed" or "cancelled" ? TypedResults.Ok(update) : TypedResults.Accepted($"/findings/feeds/updates/{job:D}", update);
    }

    private static async Task<Results<Ok<FeedUpdate>, RefusalResult>> GetUpdateAsync(Guid id, Caller caller, FeedQueries feeds, CancellationToken cancellation) =>
        await feeds.FindUpdateAsync(caller.Tenant, id, cancellation) is { } update ? TypedResults.Ok(update) : NotFound($"There is no update {id}.");

    private static async Task<Results<Ok<FeedUpdate>, RefusalResult>> CancelAsync(Guid id, Caller caller, FeedQueries feeds, CancellationToken cancellation) =>
        await feeds.CancelAsync(caller.Tenant, id, cancellation) switch
        {
            null => NotFound($"There is no update {id}."),
            { State: "succeeded" or "failed" } update => new Refusal(FindingProblems.FeedUpdateFinished, $"The update has {update.State}.").ToResult(),
            var update => TypedResults.Ok(update),
        };

    private static async Task<Results<Ok<AliasEdges>, RefusalResult>> EdgesAsync(
        [FromQuery(Name = "id"), Description("An advisory id: CVE, GHSA or any other.")] string? id, Caller caller, FeedQueries feeds, CancellationToken cancellation) =>
        FeedValues.AdvisoryId(id) is { } advisory
            ? TypedResults.Ok(await feeds.EdgesAsync(caller.Tenant, advisory, cancellation))
            : new Refusal(ProblemCodes.Invalid.Code, "The id is not valid.", [FieldError.Query("id", "must be an advisory id, as in CVE-2024-3094")]).ToResult();

    private static async Task<IResult> RemoveEdgeAsync(
        [FromQuery(Name = "a")] string? a,
        [FromQuery(Name = "b")] string? b,
        [FromQuery(Name = "source"), Description("Whose edge; all sources' unless given.")] string? source,
        [FromQuery(Name = "reason"), Description("For the audit log, at most 2,000 characters.")] string? reason,
        [FromQuery(Name = "wait"), Description("Seconds to wait for the regrouping before answering 202.")] int? wait,
        Caller caller, FeedIntake feeds, FeedQueries updates, HttpContext http, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        var (first, second) = (FeedValues.AdvisoryId(a), FeedValues.AdvisoryId(b));
        if (first is null)
        {
            errors.Add(FieldError.Query("a", "must be an advisory id, as in CVE-2024-3094"));
        }

        if (second is null)
        {
            errors.Add(FieldError.Query("b", "must be an advisory id, as in GHSA-rxwq-x6h5-x525"));
        }

        if (source is not null && !ImportEndpoints.IsName(source))
        {
            errors.Add(FieldError.Query("source", "must be 1 to 200 characters, without control characters"));
        }

        if (reason is { Length: > ReasonLength })
        {
            errors.Add(FieldError.Query("reason", $"must be at most {ReasonLength} characters"));
        }

        if (wait is < 0 or > 120)
        {
            errors.Add(FieldError.Query("wait", "must be 0 to 120 seconds"));
        }

        if (errors.Count > 0 || first is null || second is null)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors).ToResult();
        }

        return await feeds.RemoveEdgeAsync(caller.Tenant, caller.Subject, first, second, source, reason, cancellation) is { } taken
            ? await AnswerAsync(FeedNames.Aliases, taken, wait, caller.Tenant, updates, http, cancellation)
            : NotFound($"There is no edge between {first} and {second}{(source is null ? "" : $" of {source}")}.");
    }

    private static Refusal? Validate(string name, FeedQuery query, IQueryCollection raw)
    {
        var errors = QueryParameters.Check(raw, Known, "feeds").ToList();
        if (name != FeedNames.Aliases)
        {
            errors.AddRange(raw.Keys.Where(AliasesOnly.Contains).Select(parameter => FieldError.Query(parameter, "is for aliases")));
        }

        if (query.Source is { } source && !ImportEndpoints.IsName(source))
        {
            errors.Add(FieldError.Query("source", "must be 1 to 200 characters, without control characters"));
        }

        if (query is { Replace: true, Source: null } && name == FeedNames.Aliases)
        {
            errors.Add(FieldError.Query("source", "is required with replace=true: whose edges are replaced"));
        }

        if (query.Wait is < 0 or > 120)
        {
            errors.Add(FieldError.Query("wait", "must be 0 to 120 seconds"));
        }

        return errors.Count == 0 ? null : new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors);
    }

    /// <summary>EPSS is published as a gzip file, and sent as one: not as the encoding of something else.</summary>
    private static async Task AssumeGzipAsync(HttpContext http, CancellationToken cancellation)
    {
        if (http.Request.Headers.ContentEncoding.Count > 0)
        {
            return;
        }

        var head = await http.Request.BodyReader.ReadAtLeastAsync(2, cancellation);
        if (StartsAsGzip(new System.Buffers.SequenceReader<byte>(head.Buffer)))
        {
            http.Request.Headers.ContentEncoding = "gzip";
        }

        http.Request.BodyReader.AdvanceTo(head.Buffer.Start);
    }

    // RFC 1952 section 2.3.1.
    private static bool StartsAsGzip(System.Buffers.SequenceReader<byte> head) => head.TryRead(out var first) && first == 0x1F && head.TryRead(out var second) && second == 0x8B;

    private static async Task<bool> StartsAsJsonAsync(Stream feed, CancellationToken cancellation)
    {
        var head = new byte[512];
        feed.Position = 0;
        var read = await feed.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancellation);
        var text = head.AsSpan(0, read);
        text = (text.StartsWith(System.Text.Encoding.UTF8.Preamble) ? text[3..] : text).TrimStart(" \t\r\n"u8);
        return text.StartsWith("{"u8) || text.StartsWith("["u8);
    }

    private static RefusalResult Refused(Refusal? refusal) => (refusal ?? throw new InvalidOperationException("What is not taken has a reason.")).ToResult();

    private static RefusalResult NotFound(string detail) => new Refusal(ProblemCodes.NotFound.Code, detail).ToResult();
}
