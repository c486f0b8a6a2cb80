-- The sample module's one table.
create schema if not exists sample;
create table sample.ticket (
  tenant     text   not null,
  id         text   not null,
  version    bigint not null,
  title      text   not null,
  audit_hash bytea  not null,
  primary key (tenant, id)
);
