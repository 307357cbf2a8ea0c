-- Which master key wraps a key; null for keys of before there were several. A rewrap goes through it by key_id.
alter table keys.data_key add master_key text;
-- A destroyed key is to leave the pages too, not only the view of them: the next autovacuum takes it.
alter table keys.data_key set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1);

-- What else a key is found by. Without a row it is the content key of one workflow, which the log names.
create table keys.belongs (
  key_id text primary key references keys.data_key on delete cascade,
  workflow text not null,
  tenant_id text not null,
  -- Whom the workflow is about: a keyed digest, and it goes with the key. Null for a parked message.
  subject text
);
create index belongs_workflow on keys.belongs (workflow);
create index belongs_subject on keys.belongs (tenant_id, subject) where subject is not null;

-- Keys of our own that no content is encrypted with; `digests` makes the digests of persons above, and of parked messages.
create table keys.own_key (
  name text primary key,
  wrapped bytea not null,
  master_key text not null
);

grant delete on keys.data_key to mandate_orchestrator;
grant select, insert on keys.belongs, keys.own_key to mandate_orchestrator;
