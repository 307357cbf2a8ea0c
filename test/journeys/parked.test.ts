import { type ParkedItem, subjects, TYPES, workflowIdFor } from '@mandate/contracts';
import { partitionOf } from '@mandate/domain';
import { Bus } from '@mandate/messaging';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/** What cannot be handled, over the real services: seen, retried when its cause is gone, abandoned; nobody waits behind it. */
let world: World;
let acme: Bus;
beforeAll(async () => {
  world = await startWorld({ env: { 'llm-router': { COMMAND_KEY: 'not-the-key-of-the-orchestrator' } } });
  acme = await busOf('tenant-acme');
}, 60_000);
afterAll(async () => {
  await acme?.close();
  await world?.stop();
});

const busOf = (user: string): Promise<Bus> =>
  Bus.connect({ servers: world.stack.nats.url, user, password: world.stack.nats.password(user), name: `test-${user}` });

const operator = (path: string, method: 'GET' | 'POST' = 'GET'): Promise<Response> =>
  world.api(path, {
    method,
    headers: { authorization: `Bearer ${world.stack.secrets.operatorKey}` },
    ...(method === 'POST' ? { body: '{}' } : {}),
  });
const codeOf = async (answer: Response): Promise<readonly [number, string]> => [
  answer.status,
  ((await answer.json()) as { code?: string }).code ?? '',
];
const itemOf = async (answer: Response): Promise<ParkedItem> => {
  const text = await answer.text();
  expect([answer.status, answer.status === 200 ? '' : text]).toEqual([200, '']);
  return (JSON.parse(text) as { data: ParkedItem }).data;
};

async function listed(query = '', ask = operator): Promise<readonly ParkedItem[]> {
  const { data } = (await (await ask(`/api/v1/parked?limit=200${query}`)).json()) as { data: ParkedItem[] };
  return data;
}
async function parkedOn(subject: RegExp, is: (item: ParkedItem) => boolean = () => true): Promise<ParkedItem> {
  const found = await until(20_000, async () => (await listed()).find((item) => subject.test(item.subject) && is(item)));
  if (found === undefined) throw new Error(`nothing was parked on ${subject.source}: ${JSON.stringify(await listed())}`);
  return found;
}
const becomes = async (id: string, is: (item: ParkedItem) => boolean): Promise<ParkedItem> => {
  const found = await until(20_000, async () => {
    const item = await itemOf(await operator(`/api/v1/parked/${id}`));
    return is(item) ? item : undefined;
  });
  if (found === undefined) throw new Error(JSON.stringify(await itemOf(await operator(`/api/v1/parked/${id}`))));
  return found;
};

const SECRET = 'the-words-of-a-poison-message';
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const cloudEvent = (type: string, data: unknown): string =>
  JSON.stringify({ specversion: '1.0', id: crypto.randomUUID(), source: '/test', type, traceparent: TRACE, data });

describe('a command that its worker could not take', () => {
  it('is parked with cause, trace and attempts, and done when it is retried with the cause gone', async () => {
    // The model worker holds another key than the orchestrator: every command to it looks forged.
    const workflow = await world.submit('say it after all [[plan: say it was said]]', { pattern: 'direct' });
    const p = partitionOf(workflow);
    const item = await parkedOn(/^cmd\.llm\./);
    expect(item).toMatchObject({
      kind: 'message',
      status: 'parked',
      tenant: 'acme',
      service: 'llm-router',
      subject: `cmd.llm.${p}.acme`,
      reason: 'bad_signature',
      attempts: 1,
      decidedBy: null,
    });
    expect(item.traceparent).toMatch(/^00-[0-9a-f]{32}-/);
    // Nothing has changed: it is parked again, on the same row, and is not tried by itself.
    await itemOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'));
    const again = await becomes(item.id, ({ attempts, status }) => attempts === 2 && status === 'parked');
    expect(again.decidedBy).toMatch(/^key\//);
    expect((await listed()).filter(({ subject }) => subject === item.subject)).toHaveLength(1);

    await world.stack.service('llm-router').restart({ COMMAND_KEY: world.stack.secrets.commandKeys.llm });
    await itemOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'));
    expect(await world.ended(workflow, 30_000)).toMatchObject({ status: 'completed', answer: 'it was said', modelCalls: 1 });
    await becomes(item.id, ({ status }) => status === 'retried');
    // Decided once: asked for again it does nothing, and cannot be abandoned any more.
    expect(await itemOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'))).toMatchObject({ status: 'retried', attempts: 2 });
    expect(await codeOf(await operator(`/api/v1/parked/${item.id}/abandon`, 'POST'))).toEqual([409, 'ParkedRetried']);
  });
});

describe('a poison message', () => {
  it('of a tenant is parked without its words, and nothing waits behind it', async () => {
    const [poison, good] = ['poison-1', 'behind-poison-1'];
    await acme.publish(subjects.task('acme', poison), cloudEvent(TYPES.taskSubmit, { task: SECRET, options: { surprise: SECRET } }));
    await acme.publish(subjects.task('acme', good), cloudEvent(TYPES.taskSubmit, { task: 'go on [[plan: say went on]]' }));
    const item = await parkedOn(/^in\.\d+\.task\.acme\.poison-1$/);
    expect(item).toMatchObject({ reason: 'invalid_data', service: 'orchestrator', tenant: 'acme', attempts: 1, traceparent: TRACE });
    expect(item.size).toBeGreaterThan(100);
    expect(await world.ended(workflowIdFor('acme', good))).toMatchObject({ status: 'completed', answer: 'went on' });

    // Retried without a mended cause: the same row, once more.
    await itemOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'));
    await becomes(item.id, ({ attempts, status }) => attempts === 2 && status === 'parked');
    expect((await listed()).filter(({ subject }) => subject === item.subject)).toHaveLength(1);
    expect(await itemOf(await operator(`/api/v1/parked/${item.id}/abandon`, 'POST'))).toMatchObject({ status: 'abandoned', attempts: 2 });
    expect(await itemOf(await operator(`/api/v1/parked/${item.id}/abandon`, 'POST'))).toMatchObject({ status: 'abandoned' });
    expect(await codeOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'))).toEqual([409, 'ParkedAbandoned']);
    expect(await listed('&status=abandoned')).toMatchObject([{ id: item.id }]);
    const everything = JSON.stringify([await listed(), await itemOf(await operator(`/api/v1/parked/${item.id}`))]);
    expect(everything).not.toContain(SECRET);
  });

  it('of a worker is parked too', async () => {
    const runner = await busOf('tool-runner');
    await runner.publish(subjects.inbox(4, 'tool-runner', 'acme'), cloudEvent(TYPES.attemptResult, { workflow: 'none', attempt: SECRET }));
    const item = await parkedOn(/^in\.4\.tool-runner\.acme$/);
    expect(item).toMatchObject({ reason: 'invalid_data', service: 'orchestrator', tenant: 'acme' });
    // What a worker says of others' messages would be handled as theirs: that is poison as well.
    const forged = { service: 'gateway', tenant: 'acme', subject: 'in.4.gateway.acme', reason: 'invalid_data', detail: '' };
    const bytesSha256 = '0'.repeat(64);
    await runner.publish(
      subjects.inbox(4, 'tool-runner', 'acme'),
      cloudEvent(TYPES.messageParked, { ...forged, bytesSha256, body: 'e30=' }),
    );
    const found = await parkedOn(/^in\.4\.tool-runner\.acme$/, ({ id }) => id !== item.id);
    expect(found.detail).toBe('tool-runner parks commands of its own alone');
    expect((await listed()).filter(({ subject }) => subject === 'in.4.gateway.acme')).toEqual([]);
    await runner.close();
  });

  it('whose handler failed is handled as new when it is retried with the cause gone', async () => {
    // A rule of the database that this tenant's task breaks, as a full quota or a wrong constraint would.
    const request = 'broken-for-a-while';
    const workflow = workflowIdFor('acme', request);
    await world.sql(`create function public.refuse_it() returns trigger language plpgsql as $$ begin
      if new.stream_id = '${workflow}' then raise exception 'no room' using errcode = 'P0001'; end if; return new; end $$`);
    await world.sql('create trigger refuse_it before insert on es.stream for each row execute function public.refuse_it()');
    await acme.publish(subjects.task('acme', request), cloudEvent(TYPES.taskSubmit, { task: 'at last [[plan: say done at last]]' }));
    const item = await parkedOn(new RegExp(`task\\.acme\\.${request}$`));
    expect(item).toMatchObject({ reason: 'handler_failed', status: 'parked', attempts: 1 });
    await itemOf(await operator(`/api/v1/parked/${item.id}/retry`, 'POST'));
    await becomes(item.id, ({ attempts, status }) => attempts === 2 && status === 'parked');

    await world.sql('drop trigger refuse_it on es.stream');
    const retried = await Promise.all([1, 2, 3].map(() => operator(`/api/v1/parked/${item.id}/retry`, 'POST')));
    expect(retried.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await world.ended(workflow)).toMatchObject({ status: 'completed', answer: 'done at last' });
    await becomes(item.id, ({ status, attempts }) => status === 'retried' && attempts === 2);
    expect((await world.history(workflow)).filter(({ type }) => type === 'task.submitted')).toHaveLength(1);
  });
});

describe('a stream that cannot be projected', () => {
  it('is in the same list, and projected from where it stopped when it is retried with the cause gone', async () => {
    // A read model that cannot hold it, until it is widened.
    const [serving] = await world.sql<{ schema: string }>(
      "select n.nspname as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 'tasks' and n.nspname like 'read_%'",
    );
    if (serving === undefined) throw new Error('there are no read models');
    const { schema } = serving;
    await world.sql(
      `alter table ${schema}.timeline add constraint too_narrow check (type <> 'task.completed' or tenant <> 'acme') not valid`,
    );
    const workflow = await world.submit('hard to show [[plan: say shown at last]]');
    const item = await parkedOn(new RegExp(`^${workflow}\\.`));
    expect(item).toMatchObject({ id: workflow, kind: 'stream', status: 'parked', tenant: 'acme', service: 'projector', attempts: 1 });
    expect(item.detail).toMatch(/^task\.completed: Postgres cannot store it/);
    // Others of the same partition go on, and it stands where it stopped.
    expect(await (await world.api(`/api/v1/tasks/${workflow}`)).json()).toMatchObject({ data: { status: 'running' } });

    await itemOf(await operator(`/api/v1/parked/${workflow}/retry`, 'POST'));
    await becomes(workflow, ({ status, attempts }) => status === 'parked' && attempts === 2);
    await world.sql(`alter table ${schema}.timeline drop constraint too_narrow`);
    await itemOf(await operator(`/api/v1/parked/${workflow}/retry`, 'POST'));
    expect(await world.ended(workflow)).toMatchObject({ status: 'completed', answer: 'shown at last' });
    await becomes(workflow, ({ status }) => status === 'retried');
    const { data } = (await (await world.api(`/api/v1/tasks/${workflow}/events?limit=200`)).json()) as { data: { version: number }[] };
    expect(data.map(({ version }) => version)).toEqual(data.map((_, index) => index + 1));
  });
});

describe('the list', () => {
  it('shows a tenant its own, an operator all, and lets only operators decide', async () => {
    const globex = await busOf('tenant-globex');
    await globex.publish(subjects.task('globex', 'theirs'), 'not even JSON');
    const theirs = await parkedOn(/task\.globex\.theirs$/);
    await globex.close();
    expect(theirs).toMatchObject({ tenant: 'globex', reason: 'not_json', traceparent: null });
    const own = await listed('', (path) => world.api(path));
    expect(own.length).toBeGreaterThan(3);
    expect(new Set(own.map(({ tenant }) => tenant))).toEqual(new Set(['acme']));
    expect(new Set(own.map(({ kind }) => kind))).toEqual(new Set(['message', 'stream']));
    expect(await codeOf(await world.api(`/api/v1/parked/${theirs.id}`))).toEqual([404, 'ParkedUnknown']);
    expect(await codeOf(await world.api('/api/v1/parked?tenant=globex'))).toEqual([403, 'NotAnOperator']);
    expect(await listed('&tenant=globex')).toMatchObject([{ id: theirs.id }]);
    for (const action of ['retry', 'abandon'])
      for (const { id } of own.slice(0, 3))
        expect(await codeOf(await world.api(`/api/v1/parked/${id}/${action}`, { method: 'POST', body: '{}' }))).toEqual([
          403,
          'NotAnOperator',
        ]);
    for (const id of ['m999999', 'm0', 'wf_00_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'x'])
      expect(await codeOf(await operator(`/api/v1/parked/${id}/retry`, 'POST'))).toEqual([404, 'ParkedUnknown']);
  });

  it('comes in pages that hold everything once', async () => {
    const all = await listed();
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const page = (await (await operator(`/api/v1/parked?limit=2${cursor}`)).json()) as {
        data: ParkedItem[];
        page: { cursor: string | null };
      };
      seen.push(...page.data.map(({ id }) => id));
      if (page.page.cursor === null) break;
      cursor = `&cursor=${page.page.cursor}`;
    }
    expect(seen).toEqual(all.map(({ id }) => id));
    expect(new Set(seen).size).toBe(seen.length);
  });
});
