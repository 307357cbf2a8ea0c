import { PARTITIONS } from '@mandate/domain';

/**
 * Which tables these are. Whoever changes `TABLES`, or what is written into them, counts it up: the models are then built
 * anew beside those of the build before, which serve until these have caught up (generations.ts).
 */
export const SHAPE = 5;

/** Tables with a row per something of a tenant: a query sees its own tenant's. */
export const MODELS = ['tasks', 'agents', 'timeline', 'llm_calls', 'tool_calls', 'parked'] as const;

/** The tables of one generation, for an empty schema that is first on the search path. */
export const TABLES = `
  -- Where each partition of the log stands: next_position is the next one to apply. Written with the rows, in one statement.
  create table checkpoint (
    p smallint primary key,
    incarnation uuid not null,
    next_position bigint not null,
    -- Until next_position reaches it, the partition is being rebuilt and rows may be missing.
    rebuild_to bigint not null
  );
  create table member (instance text primary key, until timestamptz not null);
  create table lease (p smallint primary key, owner text, until timestamptz not null);
  insert into lease (p, until) select p, '-infinity' from generate_series(0, ${PARTITIONS - 1}) p;
  create table parked (
    workflow text collate "C" primary key, p smallint not null, tenant text not null, version int not null,
    pos bigint not null, type text not null, reason text not null, at bigint not null,
    status text not null default 'parked', attempts int not null default 1, last_at bigint, decided_by text, decided_at bigint
  );
  -- Operators are asked for all tenants: a name that no tenant can have.
  create policy every on parked for select to mandate_reader using (current_setting('mandate.tenant', true) = '@operators');
  create table tasks (
    workflow text collate "C" primary key, p smallint not null, tenant text not null, request text not null, status text not null,
    pattern text, agents int not null, cost_micro_usd bigint not null, reserved_micro_usd bigint not null, tokens bigint not null,
    steps int not null, model_calls int not null, tool_calls int not null, version int not null, submitted_at bigint not null,
    updated_at bigint not null, ended_at bigint, closed boolean not null, code text, message text, answer_at int, mandate json,
    open json not null, held_mandates int not null, edition smallint, resumable boolean not null, allowance json, erased_at bigint,
    forked_from json
  ) with (fillfactor = 70);
  create index tasks_newest on tasks (tenant, submitted_at desc, workflow desc);
  create index tasks_by_status on tasks (tenant, status, submitted_at desc, workflow desc);
  create table agents (
    workflow text collate "C" not null, agent text collate "C" not null, p smallint not null, tenant text not null, parent text,
    depth smallint not null, role text not null, handed_over json not null, tier text not null, pattern text, chosen_by text,
    tried json not null, fallbacks int not null, state text not null, code text, message text, granted_micro_usd bigint not null,
    granted_tokens bigint not null, granted_model_calls int not null, granted_tool_calls int not null, max_children int not null,
    deadline_at bigint not null, tools json not null, errand json, own_micro_usd bigint not null, own_tokens bigint not null,
    own_model_calls int not null, own_tool_calls int not null, own_reserved_micro_usd bigint not null, steps int not null,
    children int not null, refused_steps json not null, refused_children json not null, warned json not null, answer_at int,
    granted_version int not null, granted_at bigint not null, ended_version int, ended_at bigint,
    primary key (workflow, agent)
  ) with (fillfactor = 70);
  create table timeline (
    workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, id text not null,
    type text not null, actor text not null, causation text not null, correlation text not null, has_content boolean not null, data json not null,
    primary key (workflow, version)
  );
  create table llm_calls (
    workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, attempt text not null,
    agent text not null, provider text, model text, price_version text, outcome text not null, settled_at text not null,
    input_tokens bigint not null, output_tokens bigint not null, cost_micro_usd bigint not null, reserved_micro_usd bigint not null,
    duration_ms bigint, failure text, primary key (workflow, version)
  );
  create index llm_calls_newest on llm_calls (tenant, at desc, workflow desc, version desc);
  create table tool_calls (
    workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, attempt text not null,
    agent text not null, tool text not null, effect text not null, outcome text not null, is_error boolean, result_bytes bigint, truncated boolean,
    duration_ms bigint, failure text, primary key (workflow, version)
  );
  create index tool_calls_newest on tool_calls (tenant, at desc, workflow desc, version desc);
${MODELS.map(ownRowsOnly).join('')}
  grant select on checkpoint to mandate_reader;
`;

/** A forgotten condition on the tenant finds nothing: the row's tenant must be the one that the connection was told. */
function ownRowsOnly(model: string): string {
  return `
  alter table ${model} enable row level security;
  create policy own on ${model} for select to mandate_reader using (tenant = current_setting('mandate.tenant', true));
  grant select on ${model} to mandate_reader;
`;
}
