-- The log: the only durable truth. Appended to by the owner of a partition, read by everybody, changed by nobody.
create schema es;

-- Readers keep it with their positions. Whoever restores an older state sets a new one (docs/operations.md), so that they
-- notice that positions mean something else.
create table es.log (
  singleton boolean primary key default true check (singleton),
  incarnation uuid not null default gen_random_uuid()
);
insert into es.log default values;

-- One row per partition: fence and allocator of dense positions. Its row lock makes position order = commit order.
create table es.partition (
  p smallint primary key,
  next_pos bigint not null default 0,
  epoch bigint not null default 0,
  owner text,
  lease_until timestamptz,
  -- Every event below it was published; written lazily, so a successor publishes some again.
  published_pos bigint not null default 0
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
insert into es.partition (p) select generate_series(0, 15);

-- Orchestrators that are alive, to share the partitions fairly.
create table es.member (owner text primary key, seen_at timestamptz not null);

create table es.stream (
  p smallint not null,
  stream_id text not null,
  tenant_id text not null,
  version int not null,
  head_hash bytea not null,
  -- Something is still owed: found again after a crash.
  open boolean not null,
  primary key (p, stream_id)
) with (fillfactor = 70);
create index stream_open on es.stream (p) where open;

-- `envelope` is json, not jsonb: the exact bytes are kept, because they are hashed. The columns are copies.
create table es.event (
  p smallint not null,
  pos bigint not null,
  stream_id text not null,
  version int not null,
  tenant_id text not null,
  type text not null,
  envelope json not null,
  hash bytea not null,
  at timestamptz not null,
  primary key (p, pos),
  unique (p, stream_id, version)
) partition by list (p);

-- Somebody's words, encrypted under the key that the envelope names; written in the transaction of their event.
create table es.content (
  p smallint not null,
  stream_id text not null,
  version int not null,
  key_id text not null,
  body bytea not null,
  primary key (p, stream_id, version)
) partition by list (p);

do $$ begin
  for i in 0..15 loop
    execute format('create table es.event_p%s partition of es.event for values in (%s)', i, i);
    execute format('create table es.content_p%s partition of es.content for values in (%s)', i, i);
  end loop;
end $$;

-- Facts that many workflows share (tool catalogues, model price lists), by their SHA-256.
create table es.artifact (
  hash text primary key,
  kind text not null,
  body text not null,
  at timestamptz not null default clock_timestamp()
);
create index artifact_latest on es.artifact (kind, at desc);

-- Messages that could not be handled, whole and encrypted, with the reason.
create table es.parked (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  service text not null,
  tenant_id text,
  subject text not null,
  reason text not null,
  detail text not null,
  sha256 text not null,
  key_id text not null,
  body bytea not null,
  unique (sha256, subject)
);

create function es.immutable() returns trigger language plpgsql as $$
begin
  raise exception '% on %.% is not possible: the log is append-only', tg_op, tg_table_schema, tg_table_name using errcode = 'ES003';
end $$;
create trigger no_mutation before update or delete on es.event for each row execute function es.immutable();
create trigger no_mutation before update on es.content for each row execute function es.immutable();
do $$ begin
  execute 'create trigger no_truncate before truncate on es.event for each statement execute function es.immutable()';
  for i in 0..15 loop
    execute format('create trigger no_truncate before truncate on es.event_p%s for each statement execute function es.immutable()', i);
  end loop;
end $$;

-- Appends decisions of many streams, all or nothing.
--   a_*: the partitions and the epochs under which they are owned      ES002 when one is owned by somebody else now
--   s_*: the streams, the version each must have, and what it becomes  ES001 (detail: the streams) when one has another
--   e_*: the events, c_*: the contents; `*_s` is the 1-based index of their stream
-- Bytes come as one value each, cut here: hashes every 32 bytes, envelopes and contents by 1-based start and length.
-- (As arrays of json and bytea they were escaped by the client and parsed again here: a quarter of the append's cost.)
-- Returns the position of the first event per partition; the others follow in the order given.
create function es.append(
  a_p smallint[], a_epoch bigint[],
  s_p smallint[], s_id text[], s_tenant text[], s_expected int[], s_count int[], s_head bytea, s_open boolean[],
  e_s int[], e_version int[], e_type text[], e_at bigint[], e_start int[], e_length int[], e_envelope bytea, e_hash bytea,
  c_s int[], c_version int[], c_key text[], c_start int[], c_length int[], c_body bytea)
returns table (p smallint, base bigint) language plpgsql as $$
#variable_conflict use_column
declare
  done bigint;
  bad text;
begin
  if cardinality(a_p) > 1 then
    perform 1 from es.partition l where l.p = any (a_p) order by l.p for update;
  end if;

  with wanted as materialized (
    select w.*, substring(s_head from (w.o::int - 1) * 32 + 1 for 32) as head
    from unnest(s_p, s_id, s_tenant, s_expected, s_count, s_open) with ordinality w (p, id, tenant, expected, n, open, o)),
  updated as (
    update es.stream s set version = w.expected + w.n, head_hash = w.head, open = w.open from wanted w
    where w.expected > 0 and s.p = w.p and s.stream_id = w.id and s.version = w.expected and s.tenant_id = w.tenant returning w.id),
  inserted as (
    insert into es.stream (p, stream_id, tenant_id, version, head_hash, open)
    select w.p, w.id, w.tenant, w.n, w.head, w.open from wanted w where w.expected = 0 on conflict do nothing returning stream_id)
  select string_agg(w.id, ',') into bad from wanted w
  where w.id not in (select id from updated union all select stream_id from inserted);
  if bad is not null then
    raise exception 'wrong expected version' using errcode = 'ES001', detail = bad;
  end if;

  if cardinality(c_s) > 0 then
    insert into es.content (p, stream_id, version, key_id, body)
    select s_p[c.s], s_id[c.s], c.v, c.k, substring(c_body from c.f for c.l)
    from unnest(c_s, c_version, c_key, c_start, c_length) c (s, v, k, f, l);
  end if;

  return query
  with counts as (select s_p[e] as p, count(*) as n from unnest(e_s) e group by 1),
  bases as (
    update es.partition l set next_pos = l.next_pos + c.n from counts c, unnest(a_p, a_epoch) a (p, epoch)
    where l.p = c.p and a.p = c.p and l.epoch = a.epoch returning l.p, l.next_pos - c.n as base),
  written as (
    insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
    select b.p, b.base + row_number() over (partition by b.p order by e.o) - 1, s_id[e.s], e.v, s_tenant[e.s], e.t,
           convert_from(substring(e_envelope from e.f for e.l), 'UTF8')::json, substring(e_hash from (e.o::int - 1) * 32 + 1 for 32),
           to_timestamp(e.at / 1000.0)
    from unnest(e_s, e_version, e_type, e_at, e_start, e_length) with ordinality e (s, v, t, at, f, l, o)
    join bases b on b.p = s_p[e.s]
    returning 1)
  select b.p, b.base from bases b where (select count(*) from written) >= 0;
  get diagnostics done = row_count;
  if done <> cardinality(a_p) then
    raise exception 'fenced: a partition is owned by somebody else' using errcode = 'ES002';
  end if;
end $$;

-- The same for one stream, as plain statements: alone, a decision waits for this and nothing else (0.3 ms less than the
-- batch form, which pays off from a few streams on).
create function es.append_one(
  _p smallint, _epoch bigint, _stream text, _tenant text, _expected int, _head bytea, _open boolean,
  e_type text[], e_at bigint[], e_start int[], e_length int[], e_envelope bytea, e_hash bytea,
  c_version int[], c_key text[], c_start int[], c_length int[], c_body bytea)
returns bigint language plpgsql as $$
declare
  n constant int := cardinality(e_type);
  base bigint;
begin
  update es.partition l set next_pos = l.next_pos + n where l.p = _p and l.epoch = _epoch returning l.next_pos - n into base;
  if not found then
    raise exception 'fenced: the partition is owned by somebody else' using errcode = 'ES002';
  end if;
  if _expected = 0 then
    insert into es.stream (p, stream_id, tenant_id, version, head_hash, open) values (_p, _stream, _tenant, n, _head, _open) on conflict do nothing;
  else
    update es.stream s set version = _expected + n, head_hash = _head, open = _open
    where s.p = _p and s.stream_id = _stream and s.version = _expected and s.tenant_id = _tenant;
  end if;
  if not found then
    raise exception 'wrong expected version' using errcode = 'ES001', detail = _stream;
  end if;
  for i in 1..n loop
    insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
    values (_p, base + i - 1, _stream, _expected + i, _tenant, e_type[i],
            convert_from(substring(e_envelope from e_start[i] for e_length[i]), 'UTF8')::json,
            substring(e_hash from (i - 1) * 32 + 1 for 32), to_timestamp(e_at[i] / 1000.0));
  end loop;
  for i in 1..cardinality(c_version) loop
    insert into es.content (p, stream_id, version, key_id, body)
    values (_p, _stream, c_version[i], c_key[i], substring(c_body from c_start[i] for c_length[i]));
  end loop;
  return base;
end $$;

-- Takes up to `wanted` partitions that are free or whose lease has run out. A taken partition gets a new epoch, which
-- makes every append of its former owner fail.
create function es.take_partitions(_owner text, _ttl interval, _wanted int) returns table (p smallint, epoch bigint, next_pos bigint, published_pos bigint)
language sql as $$
  update es.partition l set owner = _owner, epoch = l.epoch + 1, lease_until = clock_timestamp() + _ttl
  from (select f.p from es.partition f where f.owner is null or f.lease_until < clock_timestamp() order by f.p limit _wanted for update skip locked) free
  where l.p = free.p returning l.p, l.epoch, l.next_pos, l.published_pos $$;

-- Says that the owner lives, prolongs its leases, and answers what it still owns and how many live.
create function es.keep_partitions(_owner text, _ttl interval) returns table (members int, owned smallint[])
language plpgsql as $$
declare mine smallint[];
begin
  insert into es.member (owner, seen_at) values (_owner, clock_timestamp()) on conflict (owner) do update set seen_at = excluded.seen_at;
  with kept as (update es.partition l set lease_until = clock_timestamp() + _ttl where l.owner = _owner returning l.p)
  select coalesce(array_agg(k.p order by k.p), '{}') into mine from kept k;
  delete from es.member m where m.seen_at < clock_timestamp() - interval '1 minute';
  return query select (select count(*)::int from es.member m where m.seen_at > clock_timestamp() - _ttl), mine;
end $$;

create function es.release_partitions(_owner text, _p smallint[]) returns void language sql as $$
  update es.partition set owner = null, lease_until = null where owner = _owner and p = any (_p) $$;

-- A process that is started in the place of another one takes its leases from it at once: whoever was in the same slot
-- before is dead, and if it is not, the epoch stops it.
create function es.succeed(_owner text, _slot text) returns void language sql as $$
  update es.partition set owner = null, lease_until = null where starts_with(owner, _slot || '-') and owner <> _owner;
  delete from es.member where starts_with(owner, _slot || '-') and owner <> _owner $$;

create function es.leave(_owner text) returns void language sql as $$
  update es.partition set owner = null, lease_until = null where owner = _owner;
  delete from es.member where owner = _owner $$;

grant usage on schema es to mandate_orchestrator, mandate_projector;
grant select on all tables in schema es to mandate_orchestrator, mandate_projector;
grant insert on es.event, es.content, es.artifact, es.parked, es.stream, es.member to mandate_orchestrator;
grant update on es.stream, es.partition, es.member to mandate_orchestrator;
grant delete on es.member to mandate_orchestrator;

-- Tenant readers see their own rows only; the log's writer and the projector see all.
alter table es.event enable row level security;
create policy whole on es.event to mandate_orchestrator, mandate_projector using (true) with check (true);

-- Read models live beside the log but belong to the projector alone.
create schema read authorization mandate_projector;
