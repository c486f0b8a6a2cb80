-- What a scan may close: not what it speaks of as no problem, nor what stands on a host it was not of.

alter table vuln_center.staged add column dismissed text; -- why it is no problem, as the report says; null: it is one

alter table vuln_center.finding_seen add column dismissed_at timestamptz; -- when the latest scan began that called it no problem

alter table vuln_center.scan
  add column hosts      text[] not null default '{}', -- "shop.example:443", or "10.0.20.5" for all of its ports; empty: the report does not say
  add column not_judged json;                         -- live findings that a complete scan neither showed nor could close
