-- What was left of GET /findings at a million findings: orders that are walked through filters of their own.

-- What an order carries is filtered without a look at the finding.
drop index vuln_center.finding_by_epss;
drop index vuln_center.finding_by_status;
create index finding_by_status on vuln_center.finding (tenant, status, severity, first_seen, id) include (epss);
create index finding_by_epss   on vuln_center.finding (tenant, epss desc nulls last, first_seen, id) include (kind, severity, status, suppression, kev);

-- Scores gather where their advisories are: walked in the order of all, a source without any would come last.
create index finding_by_service_epss   on vuln_center.finding (tenant, service, epss desc nulls last, first_seen, id) include (kind, severity, status, suppression, kev);
create index finding_by_source_epss    on vuln_center.finding (tenant, source, epss desc nulls last, first_seen, id) include (kind, severity, status, suppression, kev);
create index finding_by_component_epss on vuln_center.finding (tenant, component, epss desc nulls last, first_seen, id) include (kind, severity, status, suppression, kev)
  where component is not null;

-- Deadlines of what is open or triaged.
drop index vuln_center.finding_paused;
drop index vuln_center.finding_late;
create index finding_by_sla on vuln_center.finding
  (tenant, vuln_center.sla_state(sla_policy, status, sla_paused_at, sla_warned_at, sla_breached_at), status, severity, first_seen, id)
  where status in (1, 2);

-- How many findings name an advisory, by the score they have: all findings of an advisory in the order of their scores are those
-- of one score after the other. Kept as finding_count is.
create table vuln_center.advisory_score (
  tenant     text   not null,
  identifier text   not null,
  epss       real   not null,  -- -1: none
  n          bigint not null,
  folded     bool   not null default false
);
create index advisory_score_of       on vuln_center.advisory_score (tenant, identifier);
create index advisory_score_unfolded on vuln_center.advisory_score (tenant, identifier) where not folded;

create function vuln_center.count_scores() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into vuln_center.advisory_score
    select tenant, identifier, coalesce(epss, -1), count(*) from after_change, unnest(identifiers) as identifier group by 1, 2, 3;
  elsif tg_op = 'DELETE' then
    insert into vuln_center.advisory_score
    select tenant, identifier, coalesce(epss, -1), -count(*) from before_change, unnest(identifiers) as identifier group by 1, 2, 3;
  else
    insert into vuln_center.advisory_score
    select tenant, identifier, epss, sum(n)
    from (
      select tenant, unnest(identifiers) as identifier, coalesce(epss, -1) as epss, 1 as n from after_change
      union all
      select tenant, unnest(identifiers), coalesce(epss, -1), -1 from before_change) c
    group by 1, 2, 3 having sum(n) <> 0;
  end if;
  return null;
end
$$;
create trigger count_scores_inserted after insert on vuln_center.finding referencing new table as after_change
  for each statement execute function vuln_center.count_scores();
create trigger count_scores_updated after update on vuln_center.finding referencing old table as before_change new table as after_change
  for each statement execute function vuln_center.count_scores();
create trigger count_scores_deleted after delete on vuln_center.finding referencing old table as before_change
  for each statement execute function vuln_center.count_scores();

insert into vuln_center.advisory_score
select tenant, identifier, coalesce(epss, -1), count(*), true from vuln_center.finding, unnest(identifiers) as identifier group by 1, 2, 3;
