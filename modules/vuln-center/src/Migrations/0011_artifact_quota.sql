-- Artifacts have a quota and can be removed.

-- Bytes of content that a tenant has here: what its quota is compared with.
create table vuln_center.artifact_usage (
  tenant text   not null primary key,
  bytes  bigint not null
);
insert into vuln_center.artifact_usage (tenant, bytes) select tenant, sum(size)::bigint from vuln_center.artifact group by tenant;
-- Whether anything refers to some content still.
create index finding_artifact_content on vuln_center.finding_artifact (tenant, sha256) where stored;
