-- A backup names the schema that it was made of.
grant select on public.migration to mandate_orchestrator;
