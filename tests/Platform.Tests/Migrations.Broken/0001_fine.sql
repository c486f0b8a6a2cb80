create schema if not exists broken;
create table broken.kept (id int primary key);
