create table cut.after (id int primary key);
