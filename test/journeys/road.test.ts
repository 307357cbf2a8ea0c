import { createServer, type Server } from 'node:http';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/** The road of one task as its users see it: over HTTP, with two of every service, a model over real HTTP and real tools. */
let world: World;
let sink: Server;
const spans: {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly service: string;
}[] = [];
const CANARY = 'canary-secret-93c1';

beforeAll(async () => {
  sink = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      collectSpans(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((listening) => sink.listen(0, '127.0.0.1', listening));
  const otlp = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(sink.address() as AddressInfo).port}` };
  world = await startWorld({
    instances: { gateway: 2, analyzer: 2, orchestrator: 2, 'llm-router': 2, 'tool-runner': 2, projector: 2 },
    env: Object.fromEntries(['gateway', 'analyzer', 'orchestrator', 'llm-router', 'tool-runner', 'projector'].map((name) => [name, otlp])),
  });
}, 90_000);
afterAll(async () => {
  await world?.stop();
  await new Promise((closed) => sink?.close(closed));
});

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
      }[];
    }[];
  }[];
}
function collectSpans(body: OtlpBody): void {
  for (const { resource, scopeSpans } of body.resourceSpans) {
    const service = resource.attributes.find((attribute) => attribute.key === 'service.name')?.value.stringValue ?? '';
    for (const span of scopeSpans.flatMap((scope) => scope.spans)) spans.push({ ...span, parentSpanId: span.parentSpanId ?? '', service });
  }
}

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;
interface Page<T> {
  readonly data: readonly T[];
  readonly page: { readonly cursor: string | null };
}

describe('a task over HTTP', () => {
  it('is accepted, runs, and shows its answer, its cost and every call', async () => {
    const workflow = await world.submit('look [[plan: tool counter__read {}; say all is well]]');
    const task = await world.ended(workflow);
    expect(task).toMatchObject({ status: 'completed', answer: 'all is well', modelCalls: 2, toolCalls: 1, pattern: 'direct' });
    expect(task.costMicroUsd).toBeGreaterThan(0);
    const llm = await json<Page<{ costMicroUsd: number; outcome: string }>>(world.api(`/api/v1/tasks/${workflow}/llm-calls`));
    expect(llm.data.reduce((sum, call) => sum + call.costMicroUsd, 0)).toBe(task.costMicroUsd);
    const tools = await json<Page<{ tool: string; outcome: string }>>(world.api(`/api/v1/tasks/${workflow}/tool-calls`));
    expect(tools.data).toMatchObject([{ tool: 'counter__read', outcome: 'succeeded' }]);
  });

  it('sent with the same key through two gateways at once is one workflow; with another body it is a conflict', async () => {
    const send = (gateway: number, task: string): Promise<Response> =>
      world.api('/api/v1/tasks', { method: 'POST', headers: { 'idempotency-key': 'same-key' }, body: JSON.stringify({ task }) }, gateway);
    const answers = await Promise.all([send(1, 'once'), send(2, 'once'), send(1, 'once'), send(2, 'once')]);
    expect(answers.map((answer) => answer.status)).toEqual([202, 202, 202, 202]);
    const ids = new Set(
      await Promise.all(answers.map(async (answer) => ((await answer.json()) as { data: { workflowId: string } }).data.workflowId)),
    );
    expect(ids.size).toBe(1);
    const conflict = await send(2, 'twice');
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toMatchObject({ code: 'IdempotencyConflict' });
  });

  it('belongs to its tenant: another tenant does not find it, in any way', async () => {
    const workflow = await world.submit('mine alone [[plan: say mine]]');
    await world.ended(workflow);
    const foreign = { headers: { authorization: `Bearer ${world.stack.apiKey('globex')}` } };
    for (const path of ['', '/events', '/llm-calls', '/tool-calls']) {
      const answer = await world.api(`/api/v1/tasks/${workflow}${path}`, foreign);
      expect([path, answer.status]).toEqual([path, 404]);
    }
    expect((await world.api(`/api/v1/tasks/${workflow}/cancel`, { ...foreign, method: 'POST', body: '{}' })).status).toBe(404);
    const list = await json<Page<{ workflow: string }>>(world.api('/api/v1/tasks?limit=200', foreign));
    expect(list.data.map((task) => task.workflow)).not.toContain(workflow);
  });

  it('is followed live without gap or repeat, over a cut connection too', async () => {
    const workflow = await world.submit(
      'slowly [[plan: tool counter__read {}; tool counter__read {}; tool counter__read {}; say done]] [[delay:100]]',
    );
    const seen: number[] = [];
    for (let cuts = 0; cuts < 20 && !(await followed(workflow, seen, 4)); cuts++);
    const history = await world.history(workflow);
    expect(seen).toEqual(history.map((event) => event.version));
  });

  it('can be cancelled while its tool runs, and the tool is told', async () => {
    const workflow = await world.submit('wait [[plan: tool counter__slow {"ms":60000}; say never]]');
    await until(10_000, async () =>
      (await world.history(workflow)).some((event) => event.type === 'attempt.reserved' && event.data.owes.kind === 'tool')
        ? true
        : undefined,
    );
    expect((await world.api(`/api/v1/tasks/${workflow}/cancel`, { method: 'POST', body: '{}' })).status).toBe(202);
    expect(await world.ended(workflow, 5_000)).toMatchObject({ status: 'cancelled' });
    const again = await world.api(`/api/v1/tasks/${workflow}/cancel`, { method: 'POST', body: '{}' });
    expect([202, 409]).toContain(again.status);
  });

  it('is in every list of whoever shows its receipt, through any gateway, and so is what was done to it', async () => {
    for (let n = 0; n < 20; n++) {
      const submitted = await world.api('/api/v1/tasks', { method: 'POST', body: JSON.stringify({ task: 'one more' }) }, 1);
      const { workflowId } = ((await submitted.json()) as { data: { workflowId: string } }).data;
      const read = async (path: string, receipt: string | null): Promise<Response> =>
        world.api(path, { headers: { 'mandate-receipt': receipt ?? '' } }, 2);
      const listed = (await (await read('/api/v1/tasks?limit=5', submitted.headers.get('mandate-receipt'))).json()) as Page<{
        workflow: string;
      }>;
      expect(listed.data.map(({ workflow }) => workflow)).toContain(workflowId);
      const cancelled = await world.api(`/api/v1/tasks/${workflowId}/cancel`, { method: 'POST' }, 2);
      if (cancelled.status !== 202) continue;
      const after = (await (await read(`/api/v1/tasks/${workflowId}`, cancelled.headers.get('mandate-receipt'))).json()) as {
        data: { status: string };
      };
      expect(after.data.status).not.toBe('running');
    }
    const invalid = await world.api('/api/v1/tasks', { headers: { 'mandate-receipt': 'no receipt' } });
    expect([invalid.status, await invalid.json()]).toMatchObject([400, { code: 'ReceiptInvalid' }]);
  });

  it('is paged through without duplicates or holes while more arrive', async () => {
    const wanted = await Promise.all(Array.from({ length: 12 }, (_, i) => world.submit(`page ${i} [[plan: say ok]]`)));
    await Promise.all(wanted.map((workflow) => world.ended(workflow)));
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<{ workflow: string }> = await json(world.api(`/api/v1/tasks?limit=5${cursor === null ? '' : `&cursor=${cursor}`}`));
      found.push(...page.data.map((task) => task.workflow));
      cursor = page.page.cursor;
      await world.submit('in between [[plan: say ok]]');
    } while (cursor !== null);
    expect(new Set(found).size).toBe(found.length);
    for (const workflow of wanted) expect(found).toContain(workflow);
  });
});

/** Reads at most `events` more of the stream, then cuts it. @returns whether the stream had ended by itself */
async function followed(workflow: string, seen: number[], events: number): Promise<boolean> {
  const response = await world.api(`/api/v1/tasks/${workflow}/events`, {
    headers: { accept: 'text/event-stream', 'last-event-id': String(seen.at(-1) ?? 0) },
  });
  let text = '';
  let taken = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const id = /^id: ?(\d+)$/m.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      if (id === undefined) continue;
      seen.push(Number(id));
      taken += 1;
      if (taken < events) continue;
      return false; // Leaving the loop cuts the connection.
    }
  }
  return true;
}

describe('what a task can use', () => {
  it('is listed: the tenant’s tools of all servers by their own names, and the models with their prices', async () => {
    const tools = await json<{ data: readonly { name: string; effect: string }[] }>(world.api('/api/v1/tools'));
    expect(tools.data.map(({ name, effect }) => [name, effect])).toContainEqual(['counter__increment', 'non_idempotent']);
    const models = await json<{ data: { models: readonly { id: string; priced: boolean }[] } }>(world.api('/api/v1/models'));
    expect(models.data.models.find(({ id }) => id === 'stub-model')).toMatchObject({
      priced: true,
      inputMicroUsdPerMillionTokens: 1_000_000,
    });
  });
});

describe('bad input', () => {
  const post = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
    world.api('/api/v1/tasks', { method: 'POST', body, headers });
  it.each([
    ['no JSON', '{', 400],
    ['a blank task', JSON.stringify({ task: '   ' }), 400],
    ['a NUL character', '{"task":"a\\u0000b"}', 400],
    ['a misspelt option', JSON.stringify({ task: 'x', options: { modell: 'x' } }), 400],
    ['JSON 5,000 levels deep', '['.repeat(5_000) + ']'.repeat(5_000), 400],
    ['a task of 1 MB', JSON.stringify({ task: 'x'.repeat(1_000_000) }), 413],
    ['a mandate beyond the ceiling', JSON.stringify({ task: 'x', options: { maxCostMicroUsd: 1e12 } }), 422],
    ['a model that nobody has', JSON.stringify({ task: 'x', options: { model: 'nobody/none' } }), 422],
    ['a tool that was not granted', JSON.stringify({ task: 'x', options: { tools: ['counter__nothing'] } }), 422],
  ])('%s is a typed problem with a next step', async (_, body, status) => {
    const answer = await post(body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await answer.json()).toMatchObject({
      code: expect.any(String),
      detail: expect.any(String),
      next: expect.any(String),
      correlationId: expect.any(String),
    });
  });

  it('a task of 10,000 words is done', async () => {
    const words = Array.from({ length: 10_000 }, (_, i) => `word${i % 977}`).join(' ');
    const workflow = await world.submit(`[[plan: say read it all]] ${words}`);
    expect(await world.ended(workflow)).toMatchObject({ status: 'completed', answer: 'read it all' });
  });

  it.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer mk_nobody.nothing' }],
  ])('%s is unauthorized', async (_, headers) => {
    const answer = await fetch(`${world.stack.gatewayUrl}/api/v1/tasks`, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(401);
  });

  it('a foreign Host or Origin is refused', async () => {
    expect((await post('{"task":"x"}', { origin: 'https://evil.example' })).status).toBe(403);
  });

  it('a tool server that crashes is told to the model, and the task goes on', async () => {
    const workflow = await world.submit('[[plan: tool counter__crash {}; tool counter__read {}; say went on]]');
    expect(await world.ended(workflow, 60_000)).toMatchObject({ status: 'completed', answer: 'went on' });
  });
});

describe('on the record', () => {
  it('one task is one connected trace over all services', async () => {
    const workflow = await world.submit('traced [[plan: tool counter__read {}; say traced]]');
    await world.ended(workflow);
    const [first] = await world.history(workflow);
    const traceId = first?.trace?.split('-')[1] ?? '';
    const services = ['analyzer', 'gateway', 'llm-router', 'orchestrator', 'tool-runner'];
    const ofTask = await until(10_000, async () => {
      const found = spans.filter((span) => span.traceId === traceId);
      const known = new Set(found.map((span) => span.spanId));
      const orphans = found.filter((span) => span.parentSpanId !== '' && !known.has(span.parentSpanId));
      return services.every((service) => found.some((span) => span.service === service)) && orphans.length === 0 ? found : undefined;
    });
    expect(ofTask?.filter((span) => span.parentSpanId === '')).toHaveLength(1);
    expect([...new Set(ofTask?.map((span) => span.service))].sort()).toEqual(expect.arrayContaining(services));
  });

  it('a secret in task, arguments and answers is in no event, no log and no error', async () => {
    const workflow = await world.submit(`${CANARY} [[plan: tool counter__read {"note":"${CANARY}"}; say ${CANARY}]]`);
    expect((await world.ended(workflow)).answer).toContain(CANARY);
    await world.api(`/api/v1/tasks/${CANARY}`);
    const events = await world.sql<{ n: number }>('select count(*)::int as n from es.event where envelope::text like $1', [`%${CANARY}%`]);
    expect(events[0]?.n).toBe(0);
    const tables = await world.sql<{ name: string }>(
      "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('es', 'read')",
    );
    for (const { name } of tables) {
      const [row] = await world.sql<{ n: number }>(`select count(*)::int as n from ${name} t where t::text like $1`, [`%${CANARY}%`]);
      expect([name, row?.n]).toEqual([name, 0]);
    }
    const logs = join(dirname(world.crashFile), 'logs');
    for (const file of await readdir(logs))
      expect([file, (await readFile(join(logs, file), 'utf8')).includes(CANARY)]).toEqual([file, false]);
    for (const secret of [world.stack.apiKey('acme'), world.stack.nats.password('orchestrator')]) {
      for (const file of await readdir(logs))
        expect([file, (await readFile(join(logs, file), 'utf8')).includes(secret)]).toEqual([file, false]);
    }
  });

  it('two instances of every service share the work', async () => {
    const workflows = await Promise.all(
      Array.from({ length: 60 }, (_, i) => world.submit(`share ${i} [[plan: tool counter__read {}; say ok]]`)),
    );
    await Promise.all(workflows.map((workflow) => world.ended(workflow)));
    const rows = await world.sql<{ worker: string }>(
      "select distinct envelope->'data'->>'worker' as worker from es.event where type = 'attempt.settled' and stream_id = any ($1)",
      [workflows],
    );
    const instances = (service: string): number => rows.filter((row) => row.worker.startsWith(`${service}/`)).length;
    expect([instances('analyzer'), instances('llm-router'), instances('tool-runner')]).toEqual([2, 2, 2]);
    const owners = await world.sql<{ owner: string; n: number }>('select owner, count(*)::int as n from es.partition group by owner');
    expect(owners.map((row) => row.n)).toEqual([8, 8]);
    const status = await json<{ data: { services: readonly { name: string; instances: readonly unknown[] }[] } }>(
      world.api('/api/v1/status'),
    );
    expect(status.data.services.map((service) => service.instances.length)).toEqual([2, 2, 2, 2, 2, 2]);
  });
});
