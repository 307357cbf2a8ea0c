/** The few calls of the gateway's REST door that a first run needs. */
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';

const submitted = z.object({ data: z.object({ workflowId: z.string(), location: z.string() }) });

const timelineEvent = z.object({ type: z.string(), version: z.number(), at: z.number(), data: z.record(z.string(), z.unknown()) });
/** One event of a task, as the gateway's followers get it. */
export type TimelineEvent = z.infer<typeof timelineEvent>;

const taskDetail = z.object({
  data: z.object({
    status: z.string(),
    answer: z.string().nullish(),
    code: z.string().nullish(),
    message: z.string().nullish(),
    pattern: z.string().nullish(),
    costMicroUsd: z.number(),
    tokens: z.number(),
    steps: z.number(),
    modelCalls: z.number(),
    toolCalls: z.number(),
    submittedAt: z.number(),
    endedAt: z.number().nullish(),
  }),
});
/** How a task stands. */
export type TaskDetail = z.infer<typeof taskDetail>['data'];

export type Gateway = { readonly url: string; readonly apiKey: string };

/** Event types after which a task has no more steps. */
const lastEvents = new Set(['task.completed', 'task.failed', 'task.cancelled', 'task.rejected']);
/** A gateway that is away for longer than this is not coming back by itself. */
const patienceMs = 60_000;

/** Submits a task and returns the id of its workflow. @throws with the gateway's own words when it says no. */
export async function submitTask(gateway: Gateway, task: string, options: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const body = await call(gateway, '/api/v1/tasks', { method: 'POST', body: JSON.stringify({ task, options }) });
  return submitted.parse(body).data.workflowId;
}

/** A task as the read models show it. */
export async function readTask(gateway: Gateway, workflow: string): Promise<TaskDetail> {
  return taskDetail.parse(await call(gateway, `/api/v1/tasks/${workflow}`, {})).data;
}

/**
 * Every event of a task, oldest first, until its last one. A broken connection is taken up again after the last event seen.
 *
 * @throws when the gateway stays away, or refuses.
 */
export async function* followTask(gateway: Gateway, workflow: string): AsyncGenerator<TimelineEvent> {
  let seen = 0;
  let deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      for await (const event of eventsAfter(gateway, workflow, seen)) {
        deadline = performance.now() + patienceMs;
        if (event.version <= seen) continue;
        seen = event.version;
        yield event;
        if (lastEvents.has(event.type)) return;
      }
    } catch (error) {
      if (error instanceof GatewayRefused || performance.now() > deadline) throw error;
    }
    await wait(250);
  }
}

/** Splits a stream of server-sent events into their data. Comments and other fields are not needed here. */
export async function* serverSentData(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const blocks = (rest + chunk).replaceAll('\r\n', '\n').split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = block.split('\n').flatMap((line) => (line.startsWith('data:') ? [line.slice(5).replace(/^ /, '')] : []));
      if (data.length > 0) yield data.join('\n');
    }
  }
}

/** The gateway answered, and the answer is no. */
class GatewayRefused extends Error {
  override readonly name = 'GatewayRefused';
  readonly code = 'GATEWAY_REFUSED';
}

async function* eventsAfter(gateway: Gateway, workflow: string, version: number): AsyncGenerator<TimelineEvent> {
  const headers = { ...authorization(gateway), accept: 'text/event-stream', ...(version > 0 ? { 'last-event-id': String(version) } : {}) };
  const answer = await fetch(`${gateway.url}/api/v1/tasks/${workflow}/events`, { headers });
  if (!answer.ok || !answer.body) throw await refusalOf(answer);
  for await (const data of serverSentData(answer.body.pipeThrough(new TextDecoderStream()))) {
    const event = timelineEvent.safeParse(JSON.parse(data));
    if (event.success) yield event.data;
  }
}

async function call(gateway: Gateway, path: string, init: RequestInit): Promise<unknown> {
  const headers = { ...authorization(gateway), 'content-type': 'application/json' };
  const answer = await fetch(gateway.url + path, { ...init, headers });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

function authorization(gateway: Gateway): { authorization: string } {
  return { authorization: `Bearer ${gateway.apiKey}` };
}

/** A 5xx is worth another try; everything else is the gateway's last word. */
async function refusalOf(answer: Response): Promise<Error> {
  const text = `the gateway answered ${answer.status}: ${(await answer.text()).slice(0, 2_000)}`;
  return answer.status >= 500 ? new Error(text) : new GatewayRefused(text);
}
