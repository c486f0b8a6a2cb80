-- Words were cut up again for every row that a filter looked at. Rewrites the table once, so it comes before the new indexes.
-- The expression is that of finding_by_text, which it replaces.
drop index vuln_center.finding_by_text;
alter table vuln_center.finding add column words tsvector not null generated always as (
  to_tsvector('simple', translate(title || ' ' || rule || ' ' || coalesce(component, ''), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                '))) stored;
create index finding_by_words on vuln_center.finding using gin (words);

-- Filters of GET /findings that walked a whole order until they had a page.
create index finding_by_source on vuln_center.finding (tenant, source, severity desc, first_seen, id);
-- Components are the bulk; the other kinds are looked for because they are rare.
create index finding_by_kind on vuln_center.finding (tenant, kind, severity desc, first_seen, id) where kind <> 1;
