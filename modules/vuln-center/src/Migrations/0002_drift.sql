-- What the drift pass compares: a key without its place, and the function or class around the code.

alter table vuln_center.finding_key add column content bytea;   -- null: the key says nothing beyond rule and place
alter table vuln_center.finding add column code_scope bytea;    -- SHA-256 of the enclosing scope's name
alter table vuln_center.staged add column contents bytea[];     -- one for each key, null as above
alter table vuln_center.staged add column code_scope bytea;

-- The drift pass reads the open findings of one source that stand in a file, and asks whether a path is known. A path can
-- be longer than an index entry may be: it is there by its hash.
create index finding_by_path on vuln_center.finding (tenant, service, source, hashtextextended(path, 16))
  where path is not null and kind in (2, 4, 5) and status in (1, 2);
