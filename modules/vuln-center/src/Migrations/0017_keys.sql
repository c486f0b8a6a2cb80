-- A key is looked up whole. Right after a service's first large import the planner believes that its tenant has a handful of keys, so an index that
-- begins with the tenant looked as good to it as the primary key, and was read from end to end for each result of the next report.
drop index vuln_center.finding_key_of;
create index finding_key_of on vuln_center.finding_key (finding, tenant, kind);
drop index vuln_center.finding_key_family;
create index finding_key_family on vuln_center.finding_key (family, service) where family is not null;
