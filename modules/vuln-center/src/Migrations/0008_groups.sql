-- Groups of findings of different sources that are one problem, and what people said about them.

create table vuln_center.finding_group (
  tenant     text   not null,
  id         uuid   not null,
  version    bigint not null,  -- grows with its membership and with what people do to it
  service    text   not null,
  manual     bool   not null,  -- somebody linked members of it
  audit_hash bytea,            -- null until somebody did something to it
  primary key (tenant, id)
);
create index finding_group_of_service on vuln_center.finding_group (tenant, service, id);
create table vuln_center.group_member (
  tenant   text   not null,
  finding  uuid   not null,
  grouped  uuid   not null,
  links    text[] not null,  -- alias clusters it shares with other members; none: only by hand
  primary key (tenant, finding)
);
create index group_member_of on vuln_center.group_member (tenant, grouped);

-- What people said of two findings; a < b, the last word counts. Kept apart: never in one group.
create table vuln_center.group_pair (
  tenant text        not null,
  a      uuid        not null,
  b      uuid        not null,
  apart  bool        not null,
  taken  uuid,                 -- the one that was taken out of the other's group
  at     timestamptz not null,
  actor  text        not null,
  reason text        not null,
  primary key (tenant, a, b)
);
create index group_pair_back on vuln_center.group_pair (tenant, b);

-- A component's findings in one service: the neighbourhood that is grouped anew. By its hash: a key can be longer than an index entry may be.
create index finding_by_cell on vuln_center.finding (tenant, service, hashtextextended(component_key, 16)) where component_key is not null;

-- Edges that people removed stay removed, whoever states them again.
create table vuln_center.alias_veto (
  tenant text        not null,
  a      text        not null,
  b      text        not null,
  source text        not null,
  at     timestamptz not null,
  actor  text        not null,
  primary key (tenant, a, b, source)
);

alter table vuln_center.feed
  add column recompute uuid,                     -- the job that makes findings agree with this version
  add column settled   bigint not null default 0; -- the version that findings agree with

-- What a report states as aliases, in pairs: a, b, a, b.
alter table vuln_center.staged add column aliases text[] not null default '{}';
