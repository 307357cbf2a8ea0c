import { parseCloudEvent, parseMessage, subjects, taskReceipt, type TaskReceipt, TYPES, workflowIdFor } from '@mandate/contracts';
import { Bus } from '@mandate/messaging';
import { setTimeout as wait } from 'node:timers/promises';
import type { World } from '../../world.ts';
import type { Draw } from './draw.ts';

/** A client does not give up before this: everything was healed long ago by then. */
const PATIENCE_MS = 90_000;
const AGAIN_MS = 400;

const KINDS = ['plain', 'marks', 'marks', 'reads', 'delegated', 'deep', 'cancelled', 'topped_up'] as const;
type TaskKind = (typeof KINDS)[number];

/** What a client knows of a task of its own. */
export interface Submitted {
  readonly kind: TaskKind;
  readonly tenant: 'acme' | 'globex';
  readonly door: 'http' | 'bus';
  /** Its own: stands in its text, in the text of all its children, and in the names of its marks. */
  readonly key: string;
  /** Over HTTP as the receipt says; until then it is not known. */
  workflow: string;
  /** Milliseconds since the start of the load; undefined: nobody has confirmed it. */
  acceptedAt?: number;
  /** Why it was refused, when it was. */
  refused?: string;
}

/** Random tasks from random tenants through random doors, as careful clients submit them: the same request until it is confirmed. */
export class Load {
  readonly submitted: Submitted[] = [];
  /** Messages that nobody can read: they are to be parked, and nothing else is. */
  garbage = 0;
  readonly #world: World;
  readonly #draw: Draw;
  readonly #started = performance.now();
  readonly #clients: Promise<void>[] = [];
  readonly #buses = new Map<string, Bus>();

  private constructor(world: World, draw: Draw) {
    this.#world = world;
    this.#draw = draw;
  }

  static async open(world: World, draw: Draw): Promise<Load> {
    const load = new Load(world, draw);
    for (const tenant of ['acme', 'globex']) {
      const user = `tenant-${tenant}`;
      const { nats } = world.stack;
      load.#buses.set(
        tenant,
        await Bus.connect({ servers: nats.url, user, password: nats.password(user), name: 'load', apiPrefix: '$JS.API' }),
      );
    }
    return load;
  }

  /** Submits until it is over, on the average so many tasks a second. Resolves when every client has its answer. */
  async run(isOver: () => boolean, perSecond: number): Promise<void> {
    while (!isOver()) {
      this.#clients.push(this.#client(this.#draw.branch()));
      if (this.#draw.chance(0.02)) this.#clients.push(this.#sayGarbage());
      await wait(this.#draw.int(0, 2_000 / perSecond));
    }
    await Promise.all(this.#clients);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#buses.values()].map((bus) => bus.close()));
  }

  async #client(draw: Draw): Promise<void> {
    const kind = draw.pick(KINDS);
    const key = `k${this.submitted.length}x${draw.int(0, 1e6).toString(36)}`;
    const tenant = draw.chance(0.3) ? 'globex' : 'acme';
    const door = draw.chance(0.3) ? 'bus' : 'http';
    const one: Submitted = { kind, tenant, door, key, workflow: door === 'bus' ? workflowIdFor(tenant, key) : '' };
    this.submitted.push(one);
    const { task, options } = written(kind, key, draw);
    const confirmed = door === 'bus' ? await this.#overBus(one, task, options) : await this.#overHttp(one, task, options, draw);
    if (!confirmed) return;
    if (kind === 'cancelled') {
      await wait(draw.int(0, 800));
      await this.#command(one, 'cancel', {}, draw);
    }
    if (kind === 'topped_up') {
      await this.#endedOnce(one);
      await this.#command(one, 'top-up', { moneyMicroUsd: 500_000 }, draw);
    }
  }

  async #overHttp(one: Submitted, task: string, options: object, draw: Draw): Promise<boolean> {
    const body = JSON.stringify({ task, options });
    const answer = await this.#untilAnswered(() =>
      this.#request(one, '/api/v1/tasks', { method: 'POST', headers: { 'idempotency-key': one.key }, body }, draw),
    );
    if (answer?.status === 202) {
      one.workflow = ((await answer.json()) as { data: { workflowId: string } }).data.workflowId;
      one.acceptedAt = this.#now();
    } else if (answer !== undefined) one.refused = `${answer.status} ${await answer.text()}`;
    return answer?.status === 202;
  }

  async #overBus(one: Submitted, task: string, options: object): Promise<boolean> {
    const bus = this.#buses.get(one.tenant);
    if (bus === undefined) throw new Error(`no bus for ${one.tenant}`);
    const heard: TaskReceipt[] = [];
    const listening = bus.listen(subjects.out(one.tenant, one.key), (message) => {
      const event = parseCloudEvent(message.data);
      const receipt = event.ok ? parseMessage(event.value, TYPES.taskReceipt, taskReceipt) : event;
      if (receipt.ok) heard.push(receipt.value);
    });
    const ask = { specversion: '1.0', source: '/load', type: TYPES.taskSubmit, data: { task, options } };
    const deadline = performance.now() + PATIENCE_MS;
    while (heard.length === 0 && performance.now() < deadline) {
      await bus.publish(subjects.task(one.tenant, one.key), JSON.stringify({ ...ask, id: crypto.randomUUID() })).catch(() => undefined);
      for (let i = 0; i < 30 && heard.length === 0; i++) await wait(100);
    }
    listening.stop();
    const [receipt] = heard;
    if (receipt?.accepted === true) one.acceptedAt = this.#now();
    else if (receipt !== undefined) one.refused = receipt.code;
    return receipt?.accepted === true;
  }

  async #sayGarbage(): Promise<void> {
    const stored = await this.#buses
      .get('acme')
      ?.publish(subjects.task('acme', crypto.randomUUID()), 'not a message')
      .catch(() => undefined);
    if (stored !== undefined) this.garbage += 1;
  }

  async #command(one: Submitted, what: 'cancel' | 'top-up', body: object, draw: Draw): Promise<void> {
    const path = `/api/v1/tasks/${one.workflow}/${what}`;
    await this.#untilAnswered(() => this.#request(one, path, { method: 'POST', body: JSON.stringify(body) }, draw));
  }

  async #endedOnce(one: Submitted): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const rows = await this.#world
        .sql("select 1 from es.event where stream_id = $1 and type in ('task.failed', 'task.completed')", [one.workflow])
        .catch(() => []);
      if (rows.length > 0) return;
      await wait(AGAIN_MS);
    }
  }

  #request(one: Submitted, path: string, init: RequestInit, draw: Draw): Promise<Response> {
    const { stack } = this.#world;
    const gateway = draw.int(1, stack.gatewayUrls.length);
    const headers = { ...init.headers, authorization: `Bearer ${stack.apiKey(one.tenant)}` };
    return this.#world.api(path, { ...init, headers, signal: AbortSignal.timeout(10_000) }, gateway);
  }

  /** The first answer that is not "try again". */
  async #untilAnswered(ask: () => Promise<Response>): Promise<Response | undefined> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) return answer;
      await answer?.body?.cancel();
      await wait(AGAIN_MS);
    }
    return undefined;
  }

  #now(): number {
    return performance.now() - this.#started;
  }
}

/** What the client writes: the stub model does what the text says. Options are small: a lost call is settled at its worst case. */
function written(kind: TaskKind, key: string, draw: Draw): { readonly task: string; readonly options: object } {
  const delay = `[[delay:${draw.int(10, 400)}]]`;
  const say = (plan: string): string => `${key} ${delay} [[plan: ${plan}]]`;
  const mark = (n: number): string => `tool marks__put {"name":"${key}.${n}","ms":${draw.int(0, 150)}}`;
  const direct = { pattern: 'direct', maxCostMicroUsd: 200_000 };
  const child = (plan: string, tools: readonly string[]): string =>
    `tool delegate ${JSON.stringify({ agent: 'automator', task: `${key} [[plan: ${plan}]]`, tools })}`;
  switch (kind) {
    case 'plain':
      return { task: say('say done'), options: {} };
    case 'marks': {
      const plan = Array.from({ length: draw.int(1, 4) }, (_, n) => mark(n)).join('; ');
      return { task: say(`${plan}; say marked`), options: direct };
    }
    case 'reads':
      return { task: say('tool counter__read {} & tool counter__read {}; tool counter__read {}; say read'), options: {} };
    case 'delegated':
      return { task: say(`${child(`${mark(0)}; say there`, ['marks__put'])}; ${mark(1)}; say both`), options: direct };
    case 'deep': {
      const grandchild = `${key} [[plan: tool counter__read {}; say deep]]`;
      const below = `tool delegate ${JSON.stringify({ agent: 'analyst', task: grandchild, tools: ['counter__read'] })}`;
      return {
        task: say(`${child(`${mark(0)}; ${below}; say there`, ['marks__put', 'counter__read'])}; say all`),
        options: { ...direct, maxCostMicroUsd: 600_000 },
      };
    }
    case 'cancelled':
      return { task: say(`tool counter__slow {"ms":${draw.int(200, 3_000)}}; ${mark(0)}; say late`), options: direct };
    case 'topped_up':
      return { task: say(`${mark(0)}; say more`), options: { pattern: 'direct', maxCostMicroUsd: 10 } };
  }
}
