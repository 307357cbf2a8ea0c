import { CONSUMERS, FLOW, type Party, type Route, SERVICES, type StreamName, STREAMS } from '@mandate/contracts';
import { API_PREFIX, Bus, tenantUser } from '@mandate/messaging';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FreshNats, freshNats } from './servers.ts';

/**
 * Who may say what to whom, tried at a real server: every party says everything there is to say, asks for everything that
 * JetStream answers, acknowledges others' messages and names others' subjects as the place for its replies. What arrives,
 * and where, must be what the flow table says and nothing else: the tables below are read from it, the accounts are not.
 */
interface Speaker {
  readonly user: string;
  readonly party: Party;
  readonly tenant?: string;
}

const TENANTS = ['acme', 'globex'];
const SPEAKERS: readonly Speaker[] = [
  ...SERVICES.map((service): Speaker => ({ user: service, party: service })),
  ...TENANTS.map((tenant): Speaker => ({ user: tenantUser(tenant), party: 'tenant', tenant })),
];
const USERS = SPEAKERS.map(({ user }) => user);

let nats: FreshNats;
let admin: Bus;
const buses = new Map<string, Bus>();
/** What everybody heard since the last look: `<listener> <subject> <body>`, without what it said itself. */
let heard: string[] = [];

beforeAll(async () => {
  nats = await freshNats({ tenants: TENANTS });
  const as = (user: string, apiPrefix?: string): Promise<Bus> =>
    Bus.connect({
      servers: nats.url,
      user,
      password: nats.password(user),
      name: user,
      ...(apiPrefix === undefined ? {} : { apiPrefix }),
    });
  admin = await as('admin', '$JS.API');
  for (const { user } of SPEAKERS) {
    const bus = await as(user);
    buses.set(user, bus);
  }
});
afterAll(async () => {
  await Promise.all([...buses.values(), admin].map((bus) => bus?.close()));
  await nats?.stop();
});

/** Everybody listens to everything, for the length of `work`. Otherwise nobody does: a listener is somebody who might answer. */
async function listening<T>(work: () => Promise<T>): Promise<T> {
  heard = [];
  const ears = [...buses].map(([user, bus]) =>
    bus.listen('>', (message) => {
      const body = message.string();
      if (body.startsWith('said ') && body.split(' ')[1] !== user) heard.push(`${user} ${message.subject} ${body}`);
    }),
  );
  await settled();
  return work().finally(() => ears.map((each) => each.stop()));
}

const busOf = (user: string): Bus => buses.get(user) ?? expect.fail(`nobody is called ${user}`);

/** Everything that was said has been delivered: the server handles what came in over each connection in order. */
async function settled(): Promise<void> {
  for (let round = 0; round < 2; round++) await Promise.all([...buses.values(), admin].map((bus) => bus.nc.flush()));
}

async function inStreams(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name } of STREAMS) {
    const { state } = (await admin.ask(`$JS.API.STREAM.INFO.${name}`, '')) as {
      state: { first_seq: number; last_seq: number; messages: number };
    };
    for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq++) {
      const got = (await admin.ask(`$JS.API.STREAM.MSG.GET.${name}`, JSON.stringify({ seq }))) as {
        message?: { subject: string; data?: string };
      };
      if (got.message !== undefined)
        found.push(`${name} ${got.message.subject} ${Buffer.from(got.message.data ?? '', 'base64').toString()}`);
    }
  }
  return found.sort();
}

async function emptyStreams(): Promise<void> {
  for (const { name } of STREAMS) await admin.ask(`$JS.API.STREAM.PURGE.${name}`, '');
  heard = [];
}

/** A subject of a route as somebody would write it, in the name of `tenant`; every token that is free is `free`. */
const written = (route: Route, tenant: string, free: string): string =>
  route.subject
    .replace('<tenant>', tenant)
    .split('.')
    .map((token, index) => (token === '*' ? (route.subject.startsWith('in.') && index === 1 ? '3' : free) : token === '>' ? free : token))
    .join('.');

const STOPS = { analyzer: 'analyze', 'llm-router': 'llm', 'tool-runner': 'tool' } as Readonly<Record<Party, string>>;
const subjectsOf = (route: Route, free: string): readonly string[] => {
  if (route.subject === 'hb.>') return SERVICES.map((service) => `hb.${service}.${free}`);
  if (route.subject === 'ctl.stop.*') return Object.values(STOPS).map((kind) => `ctl.stop.${kind}`);
  return route.subject.includes('<tenant>') ? TENANTS.map((tenant) => written(route, tenant, free)) : [written(route, '', free)];
};
/** Everything that anybody ever says. */
const everySubject = (free: string): readonly string[] => [...new Set(FLOW.flatMap((route) => subjectsOf(route, free)))];

const matches = (pattern: string, subject: string): boolean => {
  const [want, is] = [pattern.split('.'), subject.split('.')];
  return want.at(-1) === '>'
    ? is.length >= want.length && want.slice(0, -1).every((token, i) => token === '*' || token === is[i])
    : want.length === is.length && want.every((token, i) => token === '*' || token === is[i]);
};

/** Whether the table lets this party say this subject, and to whom it then comes. */
function mayBeHeardBy(speaker: Speaker, subject: string): { readonly streams: readonly StreamName[]; readonly users: readonly string[] } {
  const routes = FLOW.filter((route) => {
    if (!route.from.includes(speaker.party)) return false;
    if (route.subject === 'hb.>') return matches(`hb.${speaker.party}.>`, subject);
    // The orchestrator speaks to every tenant; a tenant speaks as itself.
    return matches(route.subject.replace('<tenant>', speaker.tenant ?? '*'), subject);
  });
  return {
    streams: [...new Set(routes.flatMap((route) => route.stream ?? []))],
    users: USERS.filter((user) =>
      routes.some((route) => {
        const listener = SPEAKERS.find((each) => each.user === user);
        if (listener === undefined || user === speaker.user || !route.to.includes(listener.party)) return false;
        // Work queues are pulled; events are heard as they pass by.
        if (route.over === 'stream' && route.stream !== 'EVT') return false;
        if (listener.tenant !== undefined && subject.split('.')[1] !== listener.tenant) return false;
        return route.subject !== 'ctl.stop.*' || subject === `ctl.stop.${STOPS[listener.party]}`;
      }),
    ),
  };
}

/** As the server stores a tenant's subject. */
const stored = (stream: StreamName, subject: string): RegExp =>
  stream === 'IN' && subject.startsWith('task.')
    ? new RegExp(`^IN in\\.\\d+\\.${subject.replaceAll('.', '\\.')}$`)
    : new RegExp(`^${stream} ${subject.replaceAll('.', '\\.')}$`);

describe('what is said', () => {
  it('arrives where the flow table says, whoever says it, and nowhere else', () =>
    listening(async () => {
      const wantedStored: { readonly at: RegExp; readonly body: string }[] = [];
      const wantedHeard: string[] = [];
      let refused = 0;
      for (const speaker of SPEAKERS) {
        for (const subject of everySubject(`x-${speaker.user}`)) {
          const body = `said ${speaker.user} ${subject}`;
          busOf(speaker.user).tell(subject, body);
          const { streams, users } = mayBeHeardBy(speaker, subject);
          if (streams.length + users.length === 0) refused += 1;
          wantedStored.push(...streams.map((stream) => ({ at: stored(stream, subject), body })));
          wantedHeard.push(...users.map((user) => `${user} ${subject} ${body}`));
        }
      }
      await settled();
      const found = await inStreams();
      const surplus = found.filter(
        (line) => !wantedStored.some(({ at, body }) => line.endsWith(` ${body}`) && at.test(line.slice(0, -body.length - 1))),
      );
      expect({ surplus, stored: found.length }).toEqual({ surplus: [], stored: wantedStored.length });
      expect(heard.toSorted()).toEqual(wantedHeard.toSorted());
      // The table can fail in both directions.
      expect(wantedHeard.length).toBeGreaterThan(40);
      expect(wantedStored.length).toBeGreaterThan(12);
      expect(refused).toBeGreaterThan(100);
      await emptyStreams();
    }));

  it('is refused when it asks to be stored and may not be', async () => {
    const answers = await Promise.all(
      SPEAKERS.flatMap((speaker) =>
        everySubject(`y-${speaker.user}`)
          .filter((subject) => FLOW.some((route) => route.over === 'stream' && subjectsOf(route, `y-${speaker.user}`).includes(subject)))
          .map(async (subject) => {
            const may = mayBeHeardBy(speaker, subject).streams.length > 0;
            const acknowledged = await busOf(speaker.user)
              .publish(subject, `said ${speaker.user} ${subject}`)
              .then(
                () => true,
                () => false,
              );
            return acknowledged === may ? [] : [`${speaker.user} ${subject} ${acknowledged ? 'was stored' : 'was not stored'}`];
          }),
      ),
    );
    expect(answers.flat()).toEqual([]);
    expect(answers.length).toBeGreaterThan(80);
    await emptyStreams();
  });
});

const createInbox = (): string => `_INBOX.${randomBytes(12).toString('hex')}`;

describe('JetStream', () => {
  const streams = [...STREAMS.map(({ name }) => name), 'STOLEN'];
  const verbs: readonly (readonly [string, string])[] = [
    ['INFO', ''],
    ['ACCOUNT.PURGE.BUS', ''],
    ['META.LEADER.STEPDOWN', ''],
    ['STREAM.NAMES', ''],
    ['STREAM.LIST', ''],
    ...streams.flatMap((name): [string, string][] => [
      [`STREAM.CREATE.${name}`, JSON.stringify({ name, subjects: [`${name}.>`] })],
      [
        `STREAM.UPDATE.${name}`,
        JSON.stringify({ name, subjects: [`${name}.>`], sources: [{ name: 'CMD_LLM', external: { api: '$JS.API' } }] }),
      ],
      [`STREAM.INFO.${name}`, ''],
      [`STREAM.PURGE.${name}`, ''],
      [`STREAM.DELETE.${name}`, ''],
      [`STREAM.MSG.GET.${name}`, JSON.stringify({ seq: 1 })],
      [`STREAM.MSG.DELETE.${name}`, JSON.stringify({ seq: 1 })],
      [`STREAM.SNAPSHOT.${name}`, JSON.stringify({ deliver_subject: 'in.3.gateway.acme' })],
      [`STREAM.RESTORE.${name}`, JSON.stringify({ config: { name }, state: {} })],
      [`STREAM.LEADER.STEPDOWN.${name}`, ''],
      [`STREAM.PEER.REMOVE.${name}`, JSON.stringify({ peer: 'x' })],
      [`DIRECT.GET.${name}`, JSON.stringify({ seq: 1 })],
      [`DIRECT.GET.${name}.claim.a.b`, ''],
      [`CONSUMER.NAMES.${name}`, ''],
      [`CONSUMER.LIST.${name}`, ''],
      [`CONSUMER.CREATE.${name}`, JSON.stringify({ stream_name: name, config: { deliver_subject: 'stolen', ack_policy: 'none' } })],
      [`CONSUMER.CREATE.${name}.thief`, JSON.stringify({ stream_name: name, config: { name: 'thief', ack_policy: 'explicit' } })],
      [
        `CONSUMER.DURABLE.CREATE.${name}.thief`,
        JSON.stringify({ stream_name: name, config: { durable_name: 'thief', ack_policy: 'explicit' } }),
      ],
      [`CONSUMER.MSG.NEXT.${name}.thief`, JSON.stringify({ batch: 1, no_wait: true })],
    ]),
    ...CONSUMERS.flatMap(({ stream, name }): [string, string][] => [
      [`CONSUMER.INFO.${stream}.${name}`, ''],
      [`CONSUMER.MSG.NEXT.${stream}.${name}`, JSON.stringify({ batch: 1, no_wait: true })],
      [`CONSUMER.DELETE.${stream}.${name}`, ''],
      [`CONSUMER.PAUSE.${stream}.${name}`, JSON.stringify({ pause_until: '2100-01-01T00:00:00Z' })],
      [`CONSUMER.UNPIN.${stream}.${name}`, JSON.stringify({ group: 'x' })],
      [`CONSUMER.LEADER.STEPDOWN.${stream}.${name}`, ''],
    ]),
  ];

  /** Its own consumers; and the claims, for those who claim. */
  function allowed({ party }: Speaker): ReadonlySet<string> {
    const claims = FLOW.some((route) => route.stream === 'CLAIMS' && route.from.includes(party));
    return new Set([
      ...CONSUMERS.filter(({ owner }) => owner === party).flatMap(({ stream, name }) => [
        `CONSUMER.INFO.${stream}.${name}`,
        `CONSUMER.MSG.NEXT.${stream}.${name}`,
      ]),
      ...(claims ? ['STREAM.INFO.CLAIMS', 'DIRECT.GET.CLAIMS.claim.a.b'] : []),
    ]);
  }

  const world = async (): Promise<unknown> => {
    const { streams: kept } = (await admin.ask('$JS.API.STREAM.LIST', '')) as {
      streams: { config: { name: string }; state: { messages: number; consumer_count: number } }[];
    };
    return kept
      .map(({ config, state }) => ({ config, messages: state.messages, consumers: state.consumer_count }))
      .sort((a, b) => a.config.name.localeCompare(b.config.name));
  };

  it('answers nobody but the owner of a consumer, and claimers; nothing is made, changed, read or lost', async () => {
    await admin.publish('cmd.llm.3.acme', 'a command');
    await admin.publish('evt.3.acme.wf.x', 'an event');
    const before = await world();
    const asked = SPEAKERS.flatMap((speaker) => {
      const may = allowed(speaker);
      return ['$JS.API', API_PREFIX].flatMap((prefix) =>
        verbs
          // The owner would take the command: it is asked for below.
          .filter(([verb]) => !(prefix === API_PREFIX && may.has(verb) && verb.startsWith('CONSUMER.MSG.NEXT')))
          .map(async ([verb, body]) => {
            const answered = await answers(busOf(speaker.user), `${prefix}.${verb}`, body);
            const isWrong = answered !== (prefix === API_PREFIX && may.has(verb));
            return isWrong ? [`${speaker.user} ${prefix}.${verb}: ${answered ? 'answered' : 'not answered'}`] : [];
          }),
      );
    });
    const wrong = (await Promise.all(asked)).flat();
    expect(wrong).toEqual([]);
    expect(await world()).toEqual(before);
    expect(asked.length).toBeGreaterThan(3_000);
    await emptyStreams();
  });

  /** Refused is: nobody is there; JetStream is not for this account (10039), or is no cluster (10010); silence, where only SYS may ask. */
  async function answers(bus: Bus, subject: string, body: string): Promise<boolean> {
    return bus.nc.request(subject, body, { timeout: 2_000 }).then(
      (reply) => !/"err_code":(10039|10010)\b/.test(reply.string()),
      () => false,
    );
  }

  /** The next message: it comes under its own subject, which the client's `request` does not recognise as an answer. */
  async function pulled(bus: Bus, stream: string, consumer: string): Promise<{ readonly reply?: string; string(): string }> {
    const inbox = createInbox();
    const next = Promise.withResolvers<{ readonly reply?: string; string(): string }>();
    const ear = bus.listen(inbox, next.resolve);
    bus.nc.publish(`${API_PREFIX}.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify({ batch: 1, expires: 5_000_000_000 }), {
      reply: inbox,
    });
    return next.promise.finally(() => ear.stop());
  }

  it.each(CONSUMERS.filter(({ name }) => !name.startsWith('orchestrator-p') || name === 'orchestrator-p3'))(
    'lets nobody but $owner acknowledge a message of $stream/$name',
    async ({ stream, name, owner, filter }) => {
      await admin.publish(filter.replace('>', 'gateway.acme'), 'to be taken');
      const taken = await pulled(busOf(owner), stream, name);
      expect(taken.string()).toBe('to be taken');
      const due = async (): Promise<number> =>
        ((await admin.ask(`$JS.API.CONSUMER.INFO.${stream}.${name}`, '')) as { num_ack_pending: number }).num_ack_pending;
      const others = SPEAKERS.filter(({ party }) => party !== owner);
      for (const verb of ['+ACK', '+TERM', '-NAK', '+NXT', '+WPI'])
        for (const { user } of others) busOf(user).tell(taken.reply ?? '', verb);
      // As a place for replies it is no better.
      for (const { user } of others) busOf(user).nc.publish('task.acme.r', '{}', { reply: taken.reply ?? '' });
      await settled();
      expect(await due()).toBe(1);
      busOf(owner).tell(taken.reply ?? '', '+ACK');
      await settled();
      expect(await due()).toBe(0);
      await emptyStreams();
    },
  );
});

describe('a place for replies', () => {
  const inboxes = new Map(USERS.map((user) => [user, `_INBOX.${user}.${randomBytes(8).toString('hex')}`]));

  /** Where somebody might want another's answer to go. */
  const targets = (free: string): readonly string[] => [
    ...everySubject(free),
    ...inboxes.values(),
    ...['$JS.API.STREAM.DELETE.IN', '$JS.API.STREAM.PURGE.CMD_LLM', `${API_PREFIX}.STREAM.PURGE.CMD_LLM`],
    ...['$JS.ACK.CMD_LLM.llm-router.1.1.1.1.0', '$SYS.REQ.SERVER.PING', '_R_.x'],
  ];

  it('leads nothing to where its speaker may not speak', () =>
    listening(async () => {
      await emptyStreams();
      // Whoever is asked answers with words that can be recognised.
      const answering = [...new Set(FLOW.flatMap((route) => (route.over === 'asked' ? route.to : [])))].map((party) =>
        busOf(party).listen(`q.${party}.>`, (message) => void message.respond(`said ${party} answers`)),
      );
      await admin.publish('evt.3.acme.wf.x', 'an event');
      await settled();
      const before = (await inStreams()).length;
      const wrong: string[] = [];
      let tried = 0;
      for (const speaker of SPEAKERS) {
        const free = `z-${speaker.user}`;
        const mine = everySubject(free).filter((subject) => {
          const { streams, users } = mayBeHeardBy(speaker, subject);
          return streams.length + users.length > 0;
        });
        for (const reply of targets(free)) {
          const { streams, users } = mayBeHeardBy(speaker, reply);
          if (streams.length + users.length > 0) continue;
          for (const subject of mine) busOf(speaker.user).nc.publish(subject, `said ${speaker.user} asks`, { reply });
          tried += mine.length;
        }
        await settled();
        // Answers and acknowledgements go back to whoever asked, if anywhere.
        const lines = [...heard, ...(await inStreams())];
        wrong.push(
          ...lines.filter((line) => {
            const [, subject = '', ...words] = line.split(' ');
            if (words.join(' ') === 'an event' || words.join(' ') === `said ${speaker.user} asks`)
              return !mine.includes(subject) && !/^in\.\d+\.task\./.test(subject) && subject !== 'evt.3.acme.wf.x';
            return !(line.startsWith(`${speaker.user} `) && /^said \S+ answers$/.test(words.join(' ')));
          }),
        );
        const kept = (await inStreams()).length;
        if (kept < before) wrong.push(`${speaker.user}: streams went from ${before} to ${kept} messages`);
        await emptyStreams();
        await admin.publish('evt.3.acme.wf.x', 'an event');
      }
      for (const each of answering) each.stop();
      expect(wrong).toEqual([]);
      expect(tried).toBeGreaterThan(500);
      await emptyStreams();
    }));

  it('of somebody else is reached by nobody', async () => {
    const got: string[] = [];
    const ears = [...inboxes].map(([user, inbox]) => busOf(user).listen(inbox, (message) => void got.push(`${user} ${message.string()}`)));
    await settled();
    for (const { user } of SPEAKERS) for (const [other, inbox] of inboxes) if (other !== user) busOf(user).tell(inbox, `said ${user}`);
    await settled();
    expect(got).toEqual([]);
    for (const [user, inbox] of inboxes) busOf(user).tell(inbox, 'my own');
    await settled();
    expect(got).toHaveLength(USERS.length);
    for (const each of ears) each.stop();
  });

  it('of a worker’s pull brings the command to the worker alone', () =>
    listening(async () => {
      await emptyStreams();
      await admin.publish('cmd.llm.3.acme', 'said command');
      for (const reply of ['cmd.tool.3.acme', 'in.3.gateway.acme', 'out.acme.r', 'ctl.stop.tool', 'hb.projector.x', 'evt.3.acme.wf.x'])
        busOf('llm-router').nc.publish(
          `${API_PREFIX}.CONSUMER.MSG.NEXT.CMD_LLM.llm-router`,
          JSON.stringify({ batch: 1, expires: 200_000_000 }),
          {
            reply,
          },
        );
      await settled();
      expect(heard.filter((line) => !line.startsWith('llm-router '))).toEqual([]);
      expect((await inStreams()).filter((line) => !line.startsWith('CMD_LLM cmd.llm.3.acme '))).toEqual([]);
      await emptyStreams();
    }));
});

describe('a connection', () => {
  it.each([
    ['the password of another service', { user: 'gateway', password: () => nats.password('tool-runner') }],
    ['the password of a tenant', { user: 'orchestrator', password: () => nats.password(tenantUser('acme')) }],
    ['a tenant’s password for another tenant', { user: tenantUser('globex'), password: () => nats.password(tenantUser('acme')) }],
    ['an empty password', { user: 'admin', password: () => '' }],
    ['a user that does not exist', { user: 'sys', password: () => nats.password('admin') }],
  ])('with %s is refused', async (_, { user, password }) => {
    await expect(Bus.connect({ servers: nats.url, user, password: password(), name: 'thief' })).rejects.toThrow(/authorization/i);
  });
});
