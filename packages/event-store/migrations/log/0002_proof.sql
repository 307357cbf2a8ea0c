-- Signed heads of the log. The projector may add and read them and nothing else; nobody can forge one, for its key is not here.
create schema proof;

-- A checkpoint (c2sp.org/tlog-checkpoint) of a partition: what it added to the one before it, so they overlap in nothing.
create table proof.checkpoint (
  -- Of the log: positions of another one mean something else.
  incarnation uuid not null,
  p smallint not null,
  -- The events that it added: from first_pos up to, not including, size.
  first_pos bigint not null,
  size bigint not null,
  note text not null,
  -- Their leaf hashes (RFC 6962), 32 bytes each, so that a change is found to the event, and proofs need no other rows.
  leaves bytea not null,
  -- Roots of the complete subtrees at this size: the next one goes on from them.
  frontier bytea not null,
  at timestamptz not null default clock_timestamp(),
  primary key (incarnation, p, size),
  unique (incarnation, p, first_pos),
  check (size > first_pos and octet_length(leaves) = 32 * (size - first_pos))
);
-- Hashes do not compress.
alter table proof.checkpoint alter column leaves set storage external;
create trigger no_mutation before update or delete on proof.checkpoint for each row execute function es.immutable();
create trigger no_truncate before truncate on proof.checkpoint for each statement execute function es.immutable();

grant usage on schema proof to mandate_projector;
grant select, insert on proof.checkpoint to mandate_projector;
