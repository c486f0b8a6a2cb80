-- Rules of recognition as data, what people told apart, what looks like an over-merge, and decisions that can be listed.

-- Every version is kept, the latest one counts; version 1 is built in and has no row.
create table vuln_center.dedup_rule (
  tenant     text        not null,
  source     text        not null,
  version    int         not null,
  body       jsonb       not null,
  at         timestamptz not null,
  actor      text        not null,
  audit_hash bytea       not null,
  primary key (tenant, source, version)
);

-- The version that the keys of a service's findings are made by; no row: 1. Moves forward under the service's lock.
create table vuln_center.dedup_keyed (
  tenant  text not null,
  service text not null,
  source  text not null,
  version int  not null,
  primary key (tenant, service, source)
);

-- A key that held findings together which somebody told apart: results that have it get it with these attributes added.
create table vuln_center.dedup_refinement (
  tenant     text        not null,
  service    text        not null,
  source     text        not null,
  key        bytea       not null,
  attributes text[]      not null,
  at         timestamptz not null,
  primary key (tenant, service, source, key)
);

-- Findings that are never to be one again; a row for each direction.
create table vuln_center.never_merge (
  tenant  text        not null,
  finding uuid        not null,
  other   uuid        not null,
  service text        not null,
  source  text        not null,
  at      timestamptz not null,
  actor   text        not null,
  reason  text        not null,
  primary key (tenant, finding, other)
);
create index never_merge_in on vuln_center.never_merge (tenant, service, source);

create table vuln_center.overmerge (
  tenant       text        not null,
  finding      uuid        not null,
  key          bytea       not null,
  key_kind     text        not null,
  service      text        not null,
  source       text        not null,
  rules        int         not null,  -- most that one scan showed
  lines        int         not null,
  observations int         not null,
  scan         uuid        not null,  -- the first that was noticed
  since        timestamptz not null,
  primary key (tenant, finding, key)
);
create index overmerge_by_time on vuln_center.overmerge (tenant, since desc, finding, key);
create index overmerge_in on vuln_center.overmerge (tenant, service, source);

alter table vuln_center.observation
  add column content_hash bytea,                      -- finding.content_hash, when the finding looks like this result
  add column face         jsonb,                      -- columns of the finding, should it ever look like this one; null for the one it looked like
  add column moved        bool not null default false; -- what it shows stands elsewhere now: its keys are not the finding's any more
create index observation_moved on vuln_center.observation (tenant, finding) where moved;

-- The list of decisions: newest first, whole, within a service, a scan or a finding. seq tells those of one moment apart.
create sequence vuln_center.decision_seq;
alter table vuln_center.decision
  add column seq bigint not null default nextval('vuln_center.decision_seq'),
  add column service text,
  add column source text;
update vuln_center.decision d set service = s.service, source = s.source from vuln_center.scan s where s.tenant = d.tenant and s.id = d.scan;
drop index vuln_center.decision_of_scan;
create index decision_of_scan    on vuln_center.decision (tenant, scan, at desc, seq desc);
create index decision_by_time    on vuln_center.decision (tenant, at desc, seq desc);
create index decision_by_service on vuln_center.decision (tenant, service, at desc, seq desc);
