-- The neighbours that are told how services stand, with the SHA-256 of the address each had at the last start; null: it had none.
create table vuln_center.neighbour (
  name    text not null primary key,
  address bytea
);

-- Tickets that are open already are asked for as well: spread over the six hours in which each is asked for once.
insert into platform.due (tenant, kind, entity, generation, due_at, next_at)
select tenant, 'ticket-poll', id::text, 1, at, at
from (select tenant, id, now() + random() * interval '6 hours' as at from vuln_center.ticket where state in (2, 3)) open
on conflict do nothing;
