-- Places that only their number tells apart: a key without that number, and the number. Null: the key has none.
alter table vuln_center.finding_key
  add column family bytea,
  add column number int;
alter table vuln_center.staged
  add column families bytea[] not null default '{}',
  add column numbers  int[]   not null default '{}';
create index finding_key_family on vuln_center.finding_key (tenant, family) where family is not null;

-- Whether the keys of a service's findings have their families: those of before got them at its next import.
alter table vuln_center.dedup_keyed add column numbered bool not null default false;

-- What was stored before addresses lost their credentials, and before ids that a tool gives to secrets were hashed.
update vuln_center.observation set identity = identity - 'fingerprints' where identity ->> 'kind' = 'secret' and identity ? 'fingerprints';
update vuln_center.decision d set fields = d.fields - 'fingerprint'
from vuln_center.finding f
where d.fields ? 'fingerprint' and d.key_kind not like '%/keyed' and f.tenant = d.tenant and f.id = d.finding and f.kind = 4;

create function pg_temp.without_credentials(url text) returns text language sql immutable as $body$
  select regexp_replace(
    regexp_replace(url, '^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#@]*@', '\1'),
    '([?&;#][^=&;#]*(?:token|password|passwd|passphrase|pwd|secret|key|sig|signature|auth|session|sessionid|sid|credentials?|jwt)=)[^&;#]*', '\1****', 'gi')
$body$;
update vuln_center.finding set url = pg_temp.without_credentials(url) where url <> pg_temp.without_credentials(url);
update vuln_center.observation set identity = jsonb_set(identity, '{url}', to_jsonb(pg_temp.without_credentials(identity ->> 'url')))
where identity ->> 'url' <> pg_temp.without_credentials(identity ->> 'url');
update vuln_center.observation set face = jsonb_set(face, '{url}', to_jsonb(pg_temp.without_credentials(face ->> 'url')))
where face ->> 'url' <> pg_temp.without_credentials(face ->> 'url');
