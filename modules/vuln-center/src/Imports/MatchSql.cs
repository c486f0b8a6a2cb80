namespace Wave16.VulnCenter.Imports;

/// <summary>Which finding each staged result is: <c>merge_candidate</c>, then <c>merge_row</c> with its <c>target</c>.</summary>
internal static class MatchSql
{
    /// <summary>
    /// The finding that has the key <c>u (key, ord)</c>, and whether that says that a result is it: a worse key does not where the finding has another
    /// value of a better kind. $1 to $3 are tenant, service and source.
    /// </summary>
    /// <param name="kinds">Of the result's keys, best first.</param>
    public static string HolderOf(string kinds) => $"""
        select f.finding, u.ord = 1 or not exists (
          select from vuln_center.finding_key better
          where better.tenant = $1 and better.finding = f.finding and better.kind = any ({kinds}[1:u.ord::int - 1])) as usable
        from vuln_center.finding_key f
        where f.tenant = $1 and f.service = $2 and f.source = $3 and f.key = u.key
        offset 0
        """;

    /// <summary>
    /// Which finding each result is known by, and by which key. Uses finding_key's primary key and finding_key_of; "offset 0"
    /// keeps it a look-up by whole key: right after a large import the planner believes that a service has a handful of
    /// keys, and would read all of them for each result.
    /// </summary>
    public static readonly string Candidates = $"""
        create temp table merge_candidate on commit drop as
          select s.observation, s.finding, s.ordinal, s.keys, s.key_kinds, s.dismissed is not null as dismissed, c.matched, c.ord, coalesce(c.candidates, array[]::uuid[]) as candidates
          from vuln_center.staged s
          left join lateral (
            select (array_agg(k.finding order by u.ord) filter (where k.usable))[1] as matched,
                   min(u.ord) filter (where k.usable) as ord,
                   array_agg(distinct k.finding) as candidates
            from unnest(s.keys) with ordinality as u(key, ord)
            join lateral (
              {HolderOf("s.key_kinds")}
            ) k on true
          ) c on true
          where s.import = $4 and s.service = $2 and s.source = $3
        """;

    /// <summary>The planner knows nothing of what was just written: it must hash the next joins, not loop over the report for each of its results, and have the room for all of its ids.</summary>
    public const string JoinByHash = "select set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true), set_config('work_mem', '64MB', true)";

    public const string JoinFreely = "select set_config('enable_nestloop', 'on', true)";

    /// <summary>
    /// Keys are tried best first. A worse key does not count where the finding has another value of a better kind (the
    /// tool itself tells them apart), nor where a result that came first with it showed another value of a better kind.
    /// Results that share their best key are one finding, whatever their worse keys say: so the best key of every result
    /// belongs to its finding afterwards, and the same report finds the same findings again.
    /// A finding looks like its worst result; not the first, so that a report in another order changes nothing.
    /// </summary>
    public const string Match = """
        create temp table merge_row on commit drop as
        with contradicted as (
          select distinct observation from (
            select c.observation, u.key, first_value(u.key) over (partition by c.matched, u.kind order by c.ordinal) as first_key
            from merge_candidate c, unnest(c.keys, c.key_kinds) with ordinality as u(key, kind, ord)
            where not c.dismissed and c.ord > 1 and u.ord < c.ord and u.ord = array_position(c.key_kinds, u.kind)) better
          where key <> first_key
        ), accepted as (
          select c.observation, c.finding, c.ordinal, c.keys[1] as best, c.ord, c.candidates, case when x.observation is null then c.matched end as found
          from merge_candidate c left join contradicted x using (observation)
          where not c.dismissed
        ), targeted as (
          select a.*,
                 first_value(a.found) over (partition by a.best order by (a.found is null), a.ord, a.ordinal) as known,
                 first_value(a.finding) over (partition by a.best order by a.ordinal) as fresh
          from accepted a
        ), identified as (
          select t.observation, coalesce(t.known, t.fresh) as target, t.known is null as is_new, case when t.found = t.known then t.ord end as ord, t.candidates
          from targeted t
        )
        select s.*, i.target, i.is_new, i.ord, i.candidates,
               row_number() over (partition by i.target order by s.severity desc, s.content_hash, s.ordinal) = 1 as representative,
               (row_number() over (partition by i.target, s.payload_hash order by s.ordinal))::int as occurrence
        from identified i join vuln_center.staged s using (observation)
        where s.import = $1 and s.service = $2 and s.source = $3
        """;

    /// <summary>
    /// Results that the report calls no problem, with the finding they speak of. It is still what it was: not shown, and not gone
    /// either. That a person sets aside, with an end.
    /// </summary>
    public const string Dismissed = """
        create temp table merge_dismissed on commit drop as
        select s.pointer, s.dismissed as reason, c.matched as target, c.candidates,
               s.key_kinds[coalesce(c.ord, 1)] as key_kind, s.keys[coalesce(c.ord, 1)] as key, s.key_fields -> (coalesce(c.ord, 1)::int - 1) as fields, s.ordinal
        from merge_candidate c join vuln_center.staged s using (observation)
        where c.dismissed and s.import = $1 and s.service = $2 and s.source = $3
        """;

    public const string Analyze = "analyze merge_row";
}
