-- Ends the session that holds the migration lock, as a network that fails would.
create schema cut;
select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name = 'cut lock';
