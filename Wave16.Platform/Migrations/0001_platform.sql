-- What every module's database carries beside its own schema. Names: CloudEvents 1.0, RFC 6962.

create schema if not exists platform;

-- One row per life of this store. A restored store gets a new epoch, so that its event ids never collide with
-- those it published before, and so that transaction ids of another cluster are never compared with ours.
create table platform.epoch (
  epoch      int         primary key generated always as identity,
  token      text        not null unique default substr(md5(gen_random_uuid()::text), 1, 12),
  started_at timestamptz not null default now()
);
insert into platform.epoch default values;

-- Outbox: an event is written in the transaction of the change it tells of. Partitioned by day, dropped by policy.
create table platform.event (
  occurred_at    timestamptz not null,
  event_id       text        not null,
  tenant         text        not null,
  type           text        not null,
  subject        text        not null,
  entity_version bigint      not null,
  data           text        not null check (octet_length(data) <= 65536),
  traceparent    text,
  primary key (occurred_at, event_id)
) partition by range (occurred_at);
create table platform.event_default partition of platform.event default;

-- One row per event and destination, deleted when delivered: this table holds only what is pending, so an insert
-- maintains one index. next_at is -infinity until a first attempt fails, so that a clock set back delays nothing new.
-- Within a subject ids grow in commit order: a save reaches its insert only after the one before it has committed.
-- A queue's dead rows are vacuumed away early and without pauses; its file is not truncated, which would lock it.
create table platform.delivery (
  destination text        not null,
  id          bigint      not null generated always as identity,
  tenant      text        not null,
  subject     text        not null,
  event_id    text        not null,
  occurred_at timestamptz not null,
  next_at     timestamptz not null default '-infinity',
  attempts    int         not null default 0,
  last_error  text,
  primary key (destination, id)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
  autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
);
-- Few rows: only what has failed and waits for its next attempt. Tells which subjects are held back.
create index delivery_held on platform.delivery (destination, tenant, subject, id) where next_at > '-infinity';

-- envelope is the event as structured JSON; null when retention had dropped it before it could be delivered.
create table platform.dead_letter (
  died_at     timestamptz not null,
  id          bigint      not null,
  destination text        not null,
  tenant      text        not null,
  subject     text        not null,
  event_id    text        not null,
  type        text,
  occurred_at timestamptz not null,
  attempts    int         not null,
  last_error  text        not null,
  envelope    text,
  replayed_at timestamptz,
  primary key (died_at, id)
) partition by range (died_at);
create table platform.dead_letter_default partition of platform.dead_letter default;
create index dead_letter_open on platform.dead_letter (tenant, died_at, id) where replayed_at is null;

-- Command id → stored answer, written in the command's own transaction. The inbox is the same table: an event's
-- command id is evt:<consumer>:<event id>. Uniqueness comes from the entity's version, not from an index here,
-- because only one save can win a version; so the table can be partitioned by time.
create table platform.command (
  at         timestamptz not null,
  tenant     text        not null,
  entity     text        not null,
  command_id text        not null,
  answer     text        not null
) partition by range (at);
create table platform.command_default partition of platform.command default;
create index command_lookup on platform.command (tenant, entity, command_id);

-- HTTP Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): scoped by caller, kept for 24 h. A row without a
-- status is an attempt that runs, or ran until lease_until; fence grows with every attempt.
create table platform.idempotency (
  tenant      text        not null,
  caller      text        not null,
  key         text        not null,
  fingerprint bytea       not null,
  fence       bigint      not null,
  lease_until timestamptz not null,
  expires_at  timestamptz not null,
  status      int,
  headers     json,
  body        bytea,
  primary key (tenant, caller, key)
);
create index idempotency_expiry on platform.idempotency (expires_at);

-- Audit leaves: append-only, written in the transaction of what they tell of. hash = SHA-256(0x00 || canonical).
-- entity_version 0 is a refused attempt: it changed nothing and is in no entity's chain. covers is the kind of the
-- entities that a set-based write changed, whose next leaves name this one as their previous.
create table platform.audit_leaf (
  epoch          int         not null,
  xid            xid8        not null default pg_current_xact_id(),
  id             bigint      not null generated always as identity,
  tenant         text        not null,
  entity         text        not null,
  entity_version bigint      not null,
  at             timestamptz not null,
  actor          text        not null,
  action         text        not null,
  covers         text,
  canonical      text        not null,
  hash           bytea       not null check (octet_length(hash) = 32),
  primary key (epoch, xid, id)
);
create index audit_leaf_entity on platform.audit_leaf (tenant, entity, entity_version);
create index audit_leaf_time   on platform.audit_leaf (tenant, at);
create unique index audit_leaf_id on platform.audit_leaf (id);
create index audit_leaf_covering on platform.audit_leaf (hash) where covers is not null;

-- The RFC 6962 log over the leaves, appended to by one sealer. seq counts from 0; a head signs the first tree_size entries.
create table platform.audit_entry (
  seq     bigint primary key check (seq >= 0),
  leaf_id bigint not null unique,
  hash    bytea  not null check (octet_length(hash) = 32)
);
-- Complete subtrees over 256, 65536, … entries (level 8, 16, …), so that a proof reads a few hundred hashes and not the log.
create table platform.audit_node (
  level int    not null,
  index bigint not null,
  hash  bytea  not null check (octet_length(hash) = 32),
  primary key (level, index)
);
create table platform.audit_head (
  tree_size bigint      primary key,
  epoch     int         not null references platform.epoch,
  root_hash bytea       not null check (octet_length(root_hash) = 32),
  signed_at timestamptz not null,
  key_id    text        not null,
  signature bytea       not null
);
-- Where the sealer is: the last leaf it took, and the frontier of the tree. Every append is conditional on this row.
create table platform.audit_sealer (
  singleton bool    primary key default true check (singleton),
  epoch     int     not null,
  xid       xid8    not null,
  leaf_id   bigint  not null,
  tree_size bigint  not null,
  frontier  bytea[] not null
);
insert into platform.audit_sealer (epoch, xid, leaf_id, tree_size, frontier) select epoch, '0', 0, 0, '{}' from platform.epoch;

-- Due work: one row per (kind, entity). The entity's own save replaces or deletes it, by generation. next_at is due_at
-- until an attempt fails. A kind of deadline belongs to one kind of entity.
create table platform.due (
  tenant     text        not null,
  kind       text        not null,
  entity     text        not null,
  generation bigint      not null,
  due_at     timestamptz not null,
  next_at    timestamptz not null,
  attempts   int         not null default 0,
  last_error text,
  primary key (tenant, kind, entity)
) with (fillfactor = 80);
create index due_next   on platform.due (next_at);
create index due_order  on platform.due (tenant, entity, due_at);
create index due_oldest on platform.due (due_at);

-- Jobs: leased, fenced, resumable. fence grows with every claim; whoever holds an older one can write nothing.
-- json, not jsonb: kept as it was sent, and \u0000 in a string is not an error.
create table platform.job (
  tenant       text        not null,
  id           uuid        not null,
  kind         text        not null,
  state        text        not null check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  arguments    json        not null,
  progress     json        not null default '{}',
  result       json,
  problem      json,
  attempts     int         not null default 0,
  fence        bigint      not null default 0,
  owner        text,
  lease_until  timestamptz,
  not_before   timestamptz not null default '-infinity',
  cancel_asked bool        not null default false,
  created_at   timestamptz not null,
  started_at   timestamptz,
  finished_at  timestamptz,
  created_by   text        not null,
  traceparent  text,
  primary key (tenant, id)
);
create index job_queue   on platform.job (kind, tenant, created_at, id) where state = 'queued';
create index job_running on platform.job (kind, tenant) include (lease_until) where state = 'running';
create index job_turn    on platform.job (kind, tenant, started_at) where started_at is not null;
create index job_done    on platform.job (finished_at) where finished_at is not null;
