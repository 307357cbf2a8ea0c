-- What became of a parked message: how often it could not be handled, whose trace it is in, who decided what about it.
alter table es.parked
  add column at_ms bigint not null default floor(extract(epoch from clock_timestamp()) * 1000),
  -- When it could not be handled the last time.
  add column last_ms bigint not null default floor(extract(epoch from clock_timestamp()) * 1000),
  add column attempts int not null default 1,
  add column status text not null default 'parked' check (status in ('parked', 'retrying', 'retried', 'abandoned')),
  add column traceparent text,
  -- Of a command: as it was sent with it. It is never signed again, so what was forged stays forged.
  add column signature text,
  -- False when the body was too large to be kept whole: it cannot be retried.
  add column whole boolean not null default true,
  add column decided_by text,
  add column decided_ms bigint;
update es.parked set at_ms = floor(extract(epoch from at) * 1000), last_ms = floor(extract(epoch from at) * 1000);
create index parked_newest on es.parked (at_ms desc, id desc);
create index parked_newest_of_tenant on es.parked (tenant_id, at_ms desc, id desc);
grant update (reason, detail, key_id, body, last_ms, attempts, status, traceparent, signature, whole, decided_by, decided_ms)
  on es.parked to mandate_orchestrator;
