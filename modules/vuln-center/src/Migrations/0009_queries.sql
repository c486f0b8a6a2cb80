-- GET /findings at a million findings, and the counts behind the summary.

-- One order in every index of a list: within a status and a severity by age. A page merges these lanes (at most 28), so each
-- index serves any set of statuses and severities, sorted by severity or by age, from the first page to the last.
drop index vuln_center.finding_by_severity;
drop index vuln_center.finding_by_age;
drop index vuln_center.finding_by_service;
drop index vuln_center.finding_by_status;
drop index vuln_center.finding_by_component;
drop index vuln_center.finding_by_source;
drop index vuln_center.finding_by_kind;
create index finding_by_status    on vuln_center.finding (tenant, status, severity, first_seen, id);
create index finding_by_service   on vuln_center.finding (tenant, service, status, severity, first_seen, id);
create index finding_by_source    on vuln_center.finding (tenant, source, status, severity, first_seen, id);
create index finding_by_component on vuln_center.finding (tenant, component, status, severity, first_seen, id) where component is not null;
-- Components are the bulk; the other kinds are looked for because they are rare.
create index finding_by_kind      on vuln_center.finding (tenant, kind, status, severity, first_seen, id) where kind <> 1;
create index finding_by_kev       on vuln_center.finding (tenant, status, severity, first_seen, id, epss) where kev;
create index finding_by_epss      on vuln_center.finding (tenant, epss desc nulls last, first_seen, id);

-- What is rare enough to be gathered and sorted.
create index finding_by_component_key on vuln_center.finding (tenant, component_key) where component_key is not null;
create index finding_by_suppression   on vuln_center.finding (tenant, suppression) where suppression is not null;
create index finding_by_assignee      on vuln_center.finding (tenant, assignee) where assignee is not null;
create index finding_by_ssvc          on vuln_center.finding (tenant, ssvc) where ssvc >= 3;
create index finding_paused           on vuln_center.finding (tenant) where sla_paused_at is not null;
create index finding_late             on vuln_center.finding (tenant) where sla_warned_at is not null or sla_breached_at is not null;

-- A word or an advisory of one tenant is not looked for among everybody's: the tenant is one more element of each.
drop index vuln_center.finding_by_identifier;
drop index vuln_center.finding_by_words;
create index finding_by_identifier on vuln_center.finding using gin ((array_prepend(tenant, identifiers) || environments));
create index finding_by_words      on vuln_center.finding using gin ((array_to_tsvector(array[tenant]) || words));

-- Counts that change with the findings, in the same transaction, whoever writes them. Each change adds rows, so that no two
-- writers wait for each other; a background task folds them. A count is the sum of its rows.
create table vuln_center.finding_count (
  tenant      text     not null,
  service     text     not null,
  source      text     not null,
  kind        smallint not null,
  severity    smallint not null,
  status      smallint not null,
  suppression smallint not null,  -- 0: none
  kev         bool     not null,
  sla         smallint not null,  -- SlaState
  n           bigint   not null,
  folded      bool     not null default false
);
create index finding_count_of       on vuln_center.finding_count (tenant, service);
create index finding_count_unfolded on vuln_center.finding_count (tenant, service) where not folded;

-- What is open or triaged and not suppressed, by the day (UTC) on which it was first seen; service '': all of them together.
create table vuln_center.finding_age (
  tenant   text     not null,
  service  text     not null,
  severity smallint not null,
  day      date     not null,
  n        bigint   not null,
  folded   bool     not null default false
);
create index finding_age_of       on vuln_center.finding_age (tenant, service, day);
create index finding_age_unfolded on vuln_center.finding_age (tenant, service) where not folded;

-- What opened and closed on a day (UTC), by the severity it had then; service '': all of them together.
create table vuln_center.finding_flow (
  tenant   text     not null,
  service  text     not null,
  day      date     not null,
  severity smallint not null,
  opened   bigint   not null,  -- seen for the first time
  reopened bigint   not null,
  closed   bigint   not null,
  seconds  bigint   not null,  -- from opening to closing, summed over the closed
  folded   bool     not null default false
);
create index finding_flow_of       on vuln_center.finding_flow (tenant, service, day);
create index finding_flow_by_day   on vuln_center.finding_flow (tenant, day);
create index finding_flow_unfolded on vuln_center.finding_flow (tenant, service) where not folded;

create function vuln_center.sla_state(policy text, status smallint, paused timestamptz, warned timestamptz, breached timestamptz) returns smallint
language sql immutable parallel safe as $$
  select case
    when policy is null then 1
    when status in (3, 4) then case when breached is null then 6 else 7 end
    when paused is not null then 5
    when breached is not null then 4
    when warned is not null then 3
    else 2 end::smallint
$$;

create function vuln_center.count_findings() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into vuln_center.finding_count
    select tenant, service, source, kind, severity, status, coalesce(suppression, 0), kev,
           vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at), count(*)
    from after_change group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
    insert into vuln_center.finding_age
    select tenant, coalesce(service, ''), severity, day, count(*)
    from (select tenant, service, severity, (first_seen at time zone 'UTC')::date as day from after_change where status in (1, 2) and suppression is null) c
    group by grouping sets ((tenant, severity, day), (tenant, service, severity, day));
  elsif tg_op = 'DELETE' then
    insert into vuln_center.finding_count
    select tenant, service, source, kind, severity, status, coalesce(suppression, 0), kev,
           vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at), -count(*)
    from before_change group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
    insert into vuln_center.finding_age
    select tenant, coalesce(service, ''), severity, day, -count(*)
    from (select tenant, service, severity, (first_seen at time zone 'UTC')::date as day from before_change where status in (1, 2) and suppression is null) c
    group by grouping sets ((tenant, severity, day), (tenant, service, severity, day));
  else
    insert into vuln_center.finding_count
    select tenant, service, source, kind, severity, status, suppression, kev, sla, sum(n)
    from (
      select tenant, service, source, kind, severity, status, coalesce(suppression, 0) as suppression, kev,
             vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at) as sla, 1 as n
      from after_change
      union all
      select tenant, service, source, kind, severity, status, coalesce(suppression, 0), kev,
             vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at), -1
      from before_change) c
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9 having sum(n) <> 0;
    insert into vuln_center.finding_age
    select tenant, coalesce(service, ''), severity, day, sum(n)
    from (
      select tenant, service, severity, (first_seen at time zone 'UTC')::date as day, 1 as n
      from after_change where status in (1, 2) and suppression is null
      union all
      select tenant, service, severity, (first_seen at time zone 'UTC')::date, -1
      from before_change where status in (1, 2) and suppression is null) c
    group by grouping sets ((tenant, severity, day), (tenant, service, severity, day)) having sum(n) <> 0;
  end if;
  return null;
end
$$;
create trigger count_inserted after insert on vuln_center.finding referencing new table as after_change
  for each statement execute function vuln_center.count_findings();
create trigger count_updated after update on vuln_center.finding referencing old table as before_change new table as after_change
  for each statement execute function vuln_center.count_findings();
create trigger count_deleted after delete on vuln_center.finding referencing old table as before_change
  for each statement execute function vuln_center.count_findings();

create function vuln_center.count_flow() returns trigger language plpgsql as $$
begin
  insert into vuln_center.finding_flow
  select tenant, coalesce(service, ''), day, severity, sum(opened), sum(reopened), sum(closed), coalesce(sum(seconds) filter (where closed = 1), 0)::bigint
  from (
    select c.tenant, f.service, (c.at at time zone 'UTC')::date as day, f.severity,
           (c.from_status is null)::int as opened, coalesce(c.from_status in (3, 4), false)::int as reopened, coalesce(c.from_status in (1, 2), false)::int as closed,
           case when c.from_status in (1, 2) then (
             select extract(epoch from c.at - o.at) from vuln_center.transition o
             where o.tenant = c.tenant and o.finding = c.finding and o.version < c.version and o.to_status in (1, 2) and coalesce(o.from_status, 3) in (3, 4)
             order by o.version desc limit 1) end as seconds
    from after_change c join vuln_center.finding f on f.tenant = c.tenant and f.id = c.finding
    where (c.to_status in (1, 2)) <> coalesce(c.from_status in (1, 2), false)) c
  group by grouping sets ((tenant, day, severity), (tenant, service, day, severity));
  return null;
end
$$;
create trigger count_flow after insert on vuln_center.transition referencing new table as after_change
  for each statement execute function vuln_center.count_flow();

insert into vuln_center.finding_count
select tenant, service, source, kind, severity, status, coalesce(suppression, 0), kev,
       vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at), count(*), true
from vuln_center.finding group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
insert into vuln_center.finding_age
select tenant, coalesce(service, ''), severity, day, count(*), true
from (select tenant, service, severity, (first_seen at time zone 'UTC')::date as day from vuln_center.finding where status in (1, 2) and suppression is null) c
group by grouping sets ((tenant, severity, day), (tenant, service, severity, day));
insert into vuln_center.finding_flow
select tenant, coalesce(service, ''), day, severity, sum(opened), sum(reopened), sum(closed), coalesce(sum(seconds) filter (where closed = 1), 0)::bigint, true
from (
  select c.tenant, f.service, (c.at at time zone 'UTC')::date as day, f.severity,
         (c.from_status is null)::int as opened, coalesce(c.from_status in (3, 4), false)::int as reopened, coalesce(c.from_status in (1, 2), false)::int as closed,
         case when c.from_status in (1, 2) then (
           select extract(epoch from c.at - o.at) from vuln_center.transition o
           where o.tenant = c.tenant and o.finding = c.finding and o.version < c.version and o.to_status in (1, 2) and coalesce(o.from_status, 3) in (3, 4)
           order by o.version desc limit 1) end as seconds
  from vuln_center.transition c join vuln_center.finding f on f.tenant = c.tenant and f.id = c.finding
  where (c.to_status in (1, 2)) <> coalesce(c.from_status in (1, 2), false)) c
group by grouping sets ((tenant, day, severity), (tenant, service, day, severity));

-- GET /findings/scans.
create index scan_by_time on vuln_center.scan (tenant, finished_at desc, id desc);
