-- The one entity whose events the benchmark sends.
create schema if not exists bench;
create table bench.counter (
  tenant  text   not null,
  id      text   not null,
  version bigint not null,
  primary key (tenant, id)
);
