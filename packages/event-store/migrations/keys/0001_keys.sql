-- Data keys live in a database of their own, with its own backups: an old backup of the log must not bring an erased key back.
create schema keys;
create table keys.data_key (
  key_id text primary key,
  -- AES-256-GCM under the master key: nonce (12) ‖ tag (16) ‖ ciphertext (32); additional data is the key id.
  wrapped bytea not null,
  created_at timestamptz not null default clock_timestamp()
);
grant usage on schema keys to mandate_orchestrator, mandate_projector;
grant select on keys.data_key to mandate_orchestrator, mandate_projector;
grant insert on keys.data_key to mandate_orchestrator;
