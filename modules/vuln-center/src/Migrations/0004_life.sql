-- What a finding's severity, gate and deadlines are made of; what a scan covers; what a raw result is recognised by.

alter table vuln_center.finding
  add column scan_severity      smallint,     -- as the latest report says it: from its vector, or by the source's mapping
  add column scan_severity_from text,
  add column override_severity  smallint,     -- an analyst's, with the reason
  add column override_reason    text,
  add column cvss_vector        text,         -- normalised, as reported; the one that decides, or would without the override
  add column cvss_score         numeric(3,1), -- computed from it, with the service's environmental metrics where there are any
  add column component_key      text,         -- purl without version, or ecosystem:name: the same from every source
  add column epss               real,         -- highest of the finding's ids and their aliases, from the feed
  add column kev                bool not null default false,
  add column exploit            bool not null default false, -- a reference is an exploit
  add column ssvc               smallint,
  add column suppression        smallint,
  add column suppression_reason text,
  add column suppressed_at      timestamptz,
  add column suppressed_until   timestamptz,
  add column sla_policy         text,         -- name of the policy that gives the deadline; null: no SLA
  add column sla_from           timestamptz,  -- when the clock was started: first seen, or open again
  add column sla_paused         interval not null default '0',
  add column sla_paused_at      timestamptz,
  add column sla_warn_at        timestamptz,
  add column sla_due_at         timestamptz,
  add column sla_warned_at      timestamptz,
  add column sla_breached_at    timestamptz;
update vuln_center.finding set scan_severity = severity, scan_severity_from = severity_from, sla_from = first_seen;
alter table vuln_center.finding
  alter column scan_severity set not null, alter column scan_severity_from set not null, alter column sla_from set not null;

alter table vuln_center.staged
  add column cvss_vector   text,
  add column exploit       bool not null default false,
  add column component_key text,
  add column identity      jsonb;

-- All that keys are made of, so that they can be made anew when the rules change or a finding is split; and where the
-- result stood, with the ids and vectors it named. Null for observations of before.
alter table vuln_center.observation add column identity jsonb;

alter table vuln_center.scan
  add column category       text,                         -- what the tool itself calls this run of it; runs of different ones say nothing of each other
  add column images         text[] not null default '{}', -- repositories of the images that were scanned
  add column kinds          smallint[],                   -- what was looked for; null: all
  add column repository     text,
  add column commit_id      text,
  add column fixed          int not null default 0,       -- findings it no longer showed
  add column closes_nothing text;                         -- why a scan that might have closed findings did not

-- What is known of a service beside its findings.
create table vuln_center.service (
  tenant           text     not null,
  name             text     not null,
  version          bigint   not null,
  tier             text,              -- picks the SLA policy
  owner            text,
  repository       text,              -- where its code is
  mission          smallint,          -- SSVC: mission and well-being impact
  cvss_environment text,              -- environmental metrics by version, a JSON object
  audit_hash       bytea    not null,
  primary key (tenant, name)
);

-- Policies are data; every version is kept, the latest one counts.
create table vuln_center.policy (
  tenant     text        not null,
  kind       text        not null,
  version    bigint      not null,
  body       jsonb       not null,
  at         timestamptz not null,
  actor      text        not null,
  audit_hash bytea       not null,
  primary key (tenant, kind, version)
);

-- Feeds, a tenant's copy of each.
create table vuln_center.feed (
  tenant     text        not null,
  name       text        not null,
  version    bigint      not null,
  as_of      text,                 -- what the feed says of itself
  digest     bytea       not null,
  entries    int         not null,
  at         timestamptz not null,
  actor      text        not null,
  audit_hash bytea       not null,
  primary key (tenant, name)
);
create table vuln_center.epss (
  tenant     text not null,
  cve        text not null,
  score      real not null,
  percentile real,
  primary key (tenant, cve)
);
create table vuln_center.kev (
  tenant     text not null,
  cve        text not null,
  added      date,
  due        date,
  ransomware bool not null,
  primary key (tenant, cve)
);

-- Two ids of one problem, as a source said; a < b. The cluster of an id is its connected component.
create table vuln_center.alias_edge (
  tenant text        not null,
  a      text        not null,
  b      text        not null,
  source text        not null,
  since  timestamptz not null,
  primary key (tenant, a, b, source)
);
create index alias_edge_back on vuln_center.alias_edge (tenant, b);
create table vuln_center.alias_cluster (
  tenant  text not null,
  id      text not null,
  cluster text not null, -- its least id
  primary key (tenant, id)
);
create index alias_cluster_of on vuln_center.alias_cluster (tenant, cluster);
