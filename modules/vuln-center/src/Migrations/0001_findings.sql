-- Findings, what they were made from, and why. Every key begins with the tenant.
-- Enumerations are stored by the numbers of Wave16.VulnCenter.Contracts.

create schema if not exists vuln_center;

create table vuln_center.finding (
  tenant            text        not null,
  id                uuid        not null,
  version           bigint      not null,
  service           text        not null,
  source            text        not null,
  kind              smallint    not null,
  rule              text        not null,
  title             text        not null,
  severity          smallint    not null,
  severity_from     text        not null,
  raw_severity      text,
  status            smallint    not null,
  status_since      timestamptz not null,
  regression        bool        not null default false,
  gate              bool        not null default false,
  identifiers       text[]      not null,
  component         text,
  component_version text,
  purl              text,
  fixed_versions    text[]      not null,
  manifest          text,
  image             text,
  path              text,
  line              int,
  end_line          int,
  resource          text,
  url               text,
  environments      text[]      not null,
  assignee          text,
  first_seen        timestamptz not null,
  content_hash      bytea       not null,  -- SHA-256 over what a scan may change; equal means nothing to update
  audit_hash        bytea       not null,  -- the entity's latest audit leaf, or the scan's leaf that covers it
  detail            jsonb       not null,  -- description, CVSS, CWEs, references: shown, not searched
  primary key (tenant, id)
);

-- GET /findings, sorted by severity (the default) and by age, whole or within one service; status is selective enough
-- behind severity because closed findings are the bulk.
create index finding_by_severity on vuln_center.finding (tenant, severity desc, first_seen, id);
create index finding_by_age      on vuln_center.finding (tenant, first_seen, id);
create index finding_by_service  on vuln_center.finding (tenant, service, severity desc, first_seen, id);
create index finding_by_status   on vuln_center.finding (tenant, status, severity desc, first_seen, id);
create index finding_by_component on vuln_center.finding (tenant, component, severity desc, first_seen, id) where component is not null;
create index finding_by_identifier on vuln_center.finding using gin (identifiers);
create index finding_by_text on vuln_center.finding using gin (
  to_tsvector('simple', translate(title || ' ' || rule || ' ' || coalesce(component, ''), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')));

-- When a finding was last seen is volatile: it touches no version and no entity tag. Updated in place (HOT).
create table vuln_center.finding_seen (
  tenant  text        not null,
  finding uuid        not null,
  scan    uuid        not null,
  at      timestamptz not null,
  primary key (tenant, finding)
) with (fillfactor = 60);

-- The keys a finding is known by. The unique index is what parallel imports finally collide on.
create table vuln_center.finding_key (
  tenant  text  not null,
  service text  not null,
  source  text  not null,
  key     bytea not null,
  finding uuid  not null,
  kind    text  not null,
  primary key (tenant, service, source, key)
);
create index finding_key_of on vuln_center.finding_key (tenant, finding, kind);

create table vuln_center.scan (
  tenant            text        not null,
  id                uuid        not null,
  import            uuid        not null,
  service           text        not null,
  source            text        not null,
  tool              text        not null,
  tool_version      text,
  format            text        not null,
  scope             smallint    not null,
  scope_filter      text,
  failure           text,
  report_digest     bytea       not null,
  started_at        timestamptz not null,
  finished_at       timestamptz not null,
  new               int         not null,  -- raw results by outcome: their sum is what the report held
  matched           int         not null,
  reopened          int         not null,
  rejected          int         not null,
  findings_changed  int         not null,
  items             json,                  -- what became of each result, for an import that answers with it: kept, for its job may be begun again
  primary key (tenant, id)
);
create index scan_by_source on vuln_center.scan (tenant, service, source, finished_at desc);
create index scan_by_import on vuln_center.scan (tenant, import);

create table vuln_center.observation (
  tenant       text     not null,
  finding      uuid     not null,
  payload_hash bytea    not null,
  occurrence   int      not null,  -- 1 for the first result with these bytes in its report, 2 for the second …
  id           uuid     not null,
  scan         uuid     not null,  -- the scan that first brought it
  pointer      text     not null,
  raw_severity text,
  primary key (tenant, finding, payload_hash, occurrence)
);

create table vuln_center.decision (
  at          timestamptz not null,
  tenant      text        not null,
  finding     uuid,
  observation uuid,
  scan        uuid        not null,
  pointer     text        not null,
  outcome     smallint    not null,
  reason      text        not null,
  rule_set    int         not null,
  key_kind    text,
  key         bytea,
  fields      jsonb       not null,
  candidates  uuid[]      not null
) partition by range (at);
create table vuln_center.decision_default partition of vuln_center.decision default;
create index decision_of_finding on vuln_center.decision (tenant, finding);
create index decision_of_scan    on vuln_center.decision (tenant, scan);
create index decision_rejected   on vuln_center.decision (tenant, pointer) where outcome = 4;

create table vuln_center.transition (
  tenant      text        not null,
  finding     uuid        not null,
  version     bigint      not null,
  at          timestamptz not null,
  actor       text        not null,
  change      text        not null,
  from_status smallint,
  to_status   smallint    not null,
  reason      text,
  scan        uuid,
  evidence    jsonb,
  primary key (tenant, finding, version)
);

-- A report on its way in: read and keyed, not yet merged. Deleted by the merge.
create table vuln_center.import (
  tenant     text        not null,
  id         uuid        not null,
  started_at timestamptz not null,
  primary key (tenant, id)
);
create table vuln_center.staged (
  import            uuid     not null,
  service           text     not null,
  source            text     not null,
  ordinal           int      not null,
  finding           uuid     not null,  -- its id, should it turn out to be new
  observation       uuid     not null,
  pointer           text     not null,
  payload_hash      bytea    not null,
  kind              smallint not null,
  rule              text     not null,
  title             text     not null,
  severity          smallint not null,
  severity_from     text     not null,
  raw_severity      text,
  identifiers       text[]   not null,
  component         text,
  component_version text,
  purl              text,
  fixed_versions    text[]   not null,
  manifest          text,
  image             text,
  path              text,
  line              int,
  end_line          int,
  resource          text,
  url               text,
  environments      text[]   not null,
  content_hash      bytea    not null,
  detail            jsonb    not null,
  keys              bytea[]  not null,  -- best first
  key_kinds         text[]   not null,
  key_fields        jsonb    not null   -- array of objects, same order
) with (autovacuum_vacuum_scale_factor = 0.1);
create index staged_import on vuln_center.staged (import, service, source);
create table vuln_center.staged_rejection (
  import  uuid not null,
  service text not null,
  source  text not null,
  pointer text not null,
  code    text not null,
  reason  text not null
);
create index staged_rejection_import on vuln_center.staged_rejection (import);
