-- Which log a restored one was made from: so many events of each partition are those of the log before it, byte for byte.
create table proof.lineage (
  incarnation uuid not null,
  p smallint not null,
  before uuid not null,
  kept bigint not null,
  -- When it was restored, and, in a restore to the past, up to when.
  at timestamptz not null default clock_timestamp(),
  until timestamptz,
  primary key (incarnation, p),
  check (incarnation <> before)
);
create trigger no_mutation before update or delete on proof.lineage for each row execute function es.immutable();
create trigger no_truncate before truncate on proof.lineage for each statement execute function es.immutable();
grant select on proof.lineage to mandate_projector;
-- A backup names the schema that it was made of.
grant select on public.migration to mandate_projector;
