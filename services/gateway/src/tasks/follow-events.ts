import { LIMITS, type QueryAnswer } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { AskProjector } from '../projector-client.ts';
import { encodeEvent, encodeRetry, HEARTBEAT } from './server-sent-events.ts';

export interface Follower {
  readonly tenant: string;
  readonly workflow: string;
  readonly after: number;
  readonly include: 'facts' | 'content';
  /** Only what tells of this agent; only these types. */
  readonly agent?: string;
  readonly types?: readonly string[];
  /** Stay after a failure that a top-up can undo. */
  readonly stay: boolean;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
  /** Aborted when this gateway stops. */
  readonly closing: AbortSignal;
}

type Page = QueryAnswer<'events.list'>;

const LOOK_EVERY_MS = 1_000;
const HEARTBEAT_MS = 15_000;
const RETRY_MS = 1_000;

/** An open stream: `isOver` when there is nothing to send now or ever. */
export interface Following {
  readonly isOver: boolean;
  readonly chunks: AsyncGenerator<string, void, undefined>;
  close(): void;
}

/**
 * A workflow's events from `after` on, until it has ended. A failure that a top-up can undo is an end as well, unless the
 * follower wants to stay; whoever did not finds the rest of the events by connecting again. What is sent comes from pages of the read model, in order of
 * version, so nothing is left out or repeated; the bus only says when to look. Chunks are made when they are asked
 * for: a slow client holds one page, not a queue.
 *
 * @throws GatewayProblem when there is no such workflow
 */
export async function followEvents(bus: Bus, ask: AskProjector, follower: Follower): Promise<Following> {
  const { tenant, workflow, include, agent, types } = follower;
  // Listened to before the first look, so that nothing happens in between unheard.
  const news = listenForNews(bus, follower);
  const read = (after: number, minVersion?: number): Promise<Page> =>
    ask('events.list', {
      tenant,
      workflow,
      after,
      include,
      limit: LIMITS.pageRows,
      ...(agent === undefined ? {} : { agent }),
      ...(types === undefined ? {} : { types: [...types] }),
      ...(minVersion === undefined ? {} : { minVersion }),
    });
  try {
    const first = await read(follower.after);
    return { isOver: isOver(follower, first) && first.items.length === 0, chunks: follow(follower, first, news, read), close: news.stop };
  } catch (error) {
    news.stop();
    throw error;
  }
}

async function* follow(
  follower: Follower,
  first: Page,
  news: News,
  read: (after: number, minVersion?: number) => Promise<Page>,
): AsyncGenerator<string, void, undefined> {
  let page: Page | undefined = first;
  let sent = follower.after;
  /** Heard of, and not in the read model in time: not waited for again. */
  let missed = 0;
  let sentAt = performance.now();
  try {
    yield encodeRetry(RETRY_MS);
    while (!follower.gone.aborted) {
      for (const event of page?.items ?? []) {
        yield encodeEvent(event);
        sentAt = performance.now();
        if (follower.gone.aborted) return;
      }
      sent = Math.max(sent, page?.upTo ?? 0);
      if (page !== undefined && isOver(follower, page) && sent >= page.version) return;
      if (follower.closing.aborted) return yield encodeRetry(RETRY_MS);
      if (page === undefined) await news.after(Number.POSITIVE_INFINITY, LOOK_EVERY_MS);
      else if (sent >= page.version) await news.after(Math.max(sent, missed), LOOK_EVERY_MS);
      if (performance.now() - sentAt >= HEARTBEAT_MS) {
        sentAt = performance.now();
        yield HEARTBEAT;
      }
      const heard = news.version;
      // While nobody answers the follower waits; it will miss nothing.
      page = await read(sent, heard > Math.max(sent, missed) ? heard : undefined).catch(() => undefined);
      if (page !== undefined && page.version < heard) missed = heard;
    }
  } finally {
    news.stop();
  }
}

const isOver = ({ stay }: Follower, { ended, resumable }: Page): boolean => ended && !(stay && resumable);

interface News {
  /** The newest version heard of. */
  readonly version: number;
  /** Until a version after `sent` is heard of, the stream must end, or `ms` have passed. */
  after(sent: number, ms: number): Promise<void>;
  stop(): void;
}

function listenForNews(bus: Bus, follower: Follower): News {
  let version = 0;
  let wake = (): void => undefined;
  const listening = bus.listen(`evt.*.${follower.tenant}.${follower.workflow}.>`, (message) => {
    version = Math.max(version, versionIn(message));
    wake();
  });
  const onAbort = (): void => wake();
  for (const signal of [follower.gone, follower.closing]) signal.addEventListener('abort', onAbort);
  return {
    get version() {
      return version;
    },
    after: async (sent, ms) => {
      if (version > sent || follower.gone.aborted || follower.closing.aborted) return;
      const woken = Promise.withResolvers<void>();
      // A version that is not new enough wakes nobody, the end of the stream does.
      wake = () => (version > sent || follower.gone.aborted || follower.closing.aborted ? woken.resolve() : undefined);
      const timer = setTimeout(woken.resolve, ms);
      await woken.promise;
      clearTimeout(timer);
    },
    stop: () => {
      listening.stop();
      for (const signal of [follower.gone, follower.closing]) signal.removeEventListener('abort', onAbort);
    },
  };
}

function versionIn(message: { json<T>(): T }): number {
  try {
    const version = message.json<{ data?: { version?: unknown } }>().data?.version;
    return typeof version === 'number' ? version : 0;
  } catch {
    return 0;
  }
}
