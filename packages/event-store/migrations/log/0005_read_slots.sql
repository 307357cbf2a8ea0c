-- Two places for read models, so that new ones can be built beside those that serve. `read` keeps the list of both.
create schema read_a authorization mandate_projector;
create schema read_b authorization mandate_projector;
grant usage on schema read to mandate_reader;

-- Queries run as mandate_reader: it sees the rows of the tenant that its connection was told, and without one nothing.
grant usage on schema es to mandate_reader;
grant select on es.event, es.partition, es.log to mandate_reader;
create policy own on es.event for select to mandate_reader using (tenant_id = current_setting('mandate.tenant', true));
