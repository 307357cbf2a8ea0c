/** Forward only: a step that has shipped is never edited; a change is a new step at the end. */
export const MIGRATIONS: readonly { readonly version: number; readonly name: string; readonly sql: string }[] = [
  {
    version: 1,
    name: 'read models',
    sql: `
      -- Where each partition of the log stands: next_pos is the next position to apply. Written with the rows, in one statement.
      create table read.checkpoint (
        p smallint primary key,
        incarnation uuid not null,
        next_pos bigint not null,
        -- Until next_pos reaches it, the partition is being rebuilt and rows may be missing.
        rebuild_to bigint not null
      );
      create table read.member (instance text primary key, until timestamptz not null);
      create table read.lease (p smallint primary key, owner text, until timestamptz not null);
      create table read.parked (
        workflow text collate "C" primary key, p smallint not null, tenant text not null, version int not null,
        pos bigint not null, type text not null, reason text not null
      );
      create table read.tasks (
        workflow text collate "C" primary key, p smallint not null, tenant text not null, request text not null, status text not null,
        pattern text, cost_micro_usd bigint not null, reserved_micro_usd bigint not null, tokens bigint not null, steps int not null,
        model_calls int not null, tool_calls int not null, version int not null, submitted_at bigint not null, updated_at bigint not null,
        ended_at bigint, closed boolean not null, code text, message text, answer_at int, mandate json, open json not null, held_mandates int not null
      ) with (fillfactor = 70);
      create index tasks_newest on read.tasks (tenant, submitted_at desc, workflow desc);
      create index tasks_by_status on read.tasks (tenant, status, submitted_at desc, workflow desc);
      create table read.timeline (
        workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, id text not null,
        type text not null, actor text not null, causation text not null, correlation text not null, has_content boolean not null, data json not null,
        primary key (workflow, version)
      );
      create table read.llm_calls (
        workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, attempt text not null,
        agent text not null, provider text, model text, price_version text, outcome text not null, settled_at text not null,
        input_tokens bigint not null, output_tokens bigint not null, cost_micro_usd bigint not null, reserved_micro_usd bigint not null,
        duration_ms bigint, failure text, primary key (workflow, version)
      );
      create index llm_calls_newest on read.llm_calls (tenant, at desc, workflow desc, version desc);
      create table read.tool_calls (
        workflow text collate "C" not null, version int not null, p smallint not null, tenant text not null, at bigint not null, attempt text not null,
        agent text not null, tool text not null, effect text not null, outcome text not null, is_error boolean, result_bytes bigint, truncated boolean,
        duration_ms bigint, failure text, primary key (workflow, version)
      );
      create index tool_calls_newest on read.tool_calls (tenant, at desc, workflow desc, version desc);
    `,
  },
  {
    version: 2,
    name: 'agents',
    sql: `
      create table read.agents (
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
      -- The rows of the old shape go, and all of the log is applied again: it is the only one that knows their agents.
      truncate read.tasks, read.timeline, read.llm_calls, read.tool_calls, read.parked;
      update read.checkpoint set rebuild_to = greatest(rebuild_to, next_pos), next_pos = 0;
      -- Renamed, so that a projector of an older build, which may run beside this one for a while, writes nothing.
      alter table read.checkpoint rename next_pos to next_position;
      alter table read.tasks add agents int not null, add edition smallint, add resumable boolean not null, add allowance json;
    `,
  },
];
