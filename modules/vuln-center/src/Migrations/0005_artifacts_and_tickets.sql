-- Artifacts attached to findings, tickets opened for them, and what tells whether a report can have changed.

-- Content is stored once per tenant, by its digest, in pieces of 256 KiB: read and written one at a time.
create table vuln_center.artifact (
  tenant    text        not null,
  sha256    bytea       not null,
  size      bigint      not null,
  stored_at timestamptz not null,
  primary key (tenant, sha256)
);
create table vuln_center.artifact_chunk (
  tenant  text  not null,
  sha256  bytea not null,
  ordinal int   not null,
  content bytea not null,
  primary key (tenant, sha256, ordinal)
);
-- What is attached is compressed already, or text of a few pages: not worth compressing again.
alter table vuln_center.artifact_chunk alter column content set storage external;

create table vuln_center.finding_artifact (
  tenant      text        not null,
  finding     uuid        not null,
  sha256      bytea       not null,
  stored      bool        not null,  -- its content is in artifact; else only its reference is here
  media_type  text        not null,
  name        text,
  size        bigint,
  uri         text,
  note        text,
  attached_by text        not null,
  attached_at timestamptz not null,
  primary key (tenant, finding, sha256)
);

create table vuln_center.ticket (
  tenant       text        not null,
  id           uuid        not null,
  version      bigint      not null,
  finding      uuid        not null,
  connector    text        not null,
  state        smallint    not null,
  request      text        not null,  -- the body integration-hub is sent: the same bytes each time, since its key stands for them
  additional   bool        not null,  -- asked for beside one that is open
  external_id  text,
  link         text,
  state_since  timestamptz not null,  -- by integration-hub's clock once it is open: an older state never replaces a newer one
  problem      text,
  requested_by text        not null,
  requested_at timestamptz not null,
  audit_hash   bytea       not null,
  primary key (tenant, id)
);
create index ticket_of_finding on vuln_center.ticket (tenant, finding, requested_at);
-- A finding has one ticket under way at a connector, however many ask at once, unless another one is asked for.
create unique index ticket_under_way on vuln_center.ticket (tenant, finding, connector) where state in (1, 2, 3) and not additional;
create unique index ticket_by_external_id on vuln_center.ticket (tenant, connector, external_id) where external_id is not null;

-- How often the findings of a service have changed: what a report's entity tag is made of. Whoever changes findings counts,
-- each in the slot of its own session, so that two who change one service do not wait for each other.
create table vuln_center.finding_revision (
  tenant     text        not null,
  service    text        not null,
  slot       smallint    not null,
  revision   bigint      not null,
  changed_at timestamptz not null,
  primary key (tenant, service, slot)
) with (fillfactor = 60);

insert into vuln_center.finding_revision (tenant, service, slot, revision, changed_at)
select tenant, service, 0, count(*), now() from vuln_center.finding group by tenant, service;

create function vuln_center.count_finding_revision() returns trigger language plpgsql as $body$
begin
  insert into vuln_center.finding_revision as r (tenant, service, slot, revision, changed_at)
  select c.tenant, c.service, pg_backend_pid() % 32, 1, clock_timestamp()
  from (select distinct tenant, service from changed order by tenant, service) c
  on conflict (tenant, service, slot) do update set revision = r.revision + 1, changed_at = excluded.changed_at;
  return null;
end
$body$;
create trigger finding_inserted after insert on vuln_center.finding
  referencing new table as changed for each statement execute function vuln_center.count_finding_revision();
create trigger finding_updated after update on vuln_center.finding
  referencing new table as changed for each statement execute function vuln_center.count_finding_revision();
