-- Clusters of aliases have a limit.

-- What one feed or report states is joined as a whole, in the order of their numbers; where a cluster would get too large, none of it
-- is, and the edge is kept unjoined. Edges of before are one statement; clusters of theirs that are too large fall apart when one of
-- their edges goes.
create sequence vuln_center.alias_statement;
alter table vuln_center.alias_edge
  add column statement bigint not null default 0,
  add column joined    bool   not null default true;
create index alias_edge_unjoined on vuln_center.alias_edge (tenant) where not joined;
