-- Fails in the middle, unless an operator has made what it misses.
create table broken.half (id int primary key);
insert into broken.made_by_hand values (1);
