import { CONSUMERS, FLOW, type Party, PLATFORM, type Route, type ServiceName, SERVICES } from '@mandate/contracts';
import { API_PREFIX } from './bus.ts';

/**
 * The accounts part of a nats-server configuration, derived from the flow table: one account per service and tenant,
 * and one, BUS, where JetStream lives. (A single account with allow-lists is bypassable through reply subjects: see
 * docs/decisions.) Three kinds of sharing, and nothing else crosses an account's border:
 *
 * - what is stored: BUS exports the stream's subjects and its consumers as services to those who may use them;
 * - what is told: the speaker exports it as a stream to its listeners. Not by way of BUS: nats-server does not
 *   re-export a message as a stream that came in through a service import (client.go, pmrMsgImportedFromService);
 * - what is asked: the answering account exports a service to the askers.
 *
 * Passwords are `$NATS_PASSWORD_<ACCOUNT>` variables, read by nats-server from its environment, so the text holds no
 * secret and the same file serves every kind of deployment. Write it by `natsConfig`, never by hand.
 */
export function natsConfig(options: { readonly tenants: readonly string[] }): string {
  if (options.tenants.includes(PLATFORM)) throw new Error(`No tenant may be called ${PLATFORM}: that is the account above all of them.`);
  const speakers: readonly Speaker[] = [
    ...SERVICES.map((service): Speaker => ({ user: service, account: accountName(service), party: service })),
    ...options.tenants.map(
      (tenant): Speaker => ({ user: tenantUser(tenant), account: accountName(tenantUser(tenant)), party: 'tenant', tenant }),
    ),
  ];
  const shares = speakers.flatMap((speaker) => [...storedShares(speaker), ...toldShares(speaker, speakers), ...askedShares(speaker)]);
  return [
    'accounts {',
    accountText('BUS', 'admin', shares, ['jetstream: enabled']),
    ...speakers.map((speaker) => accountText(speaker.account, speaker.user, shares, [])),
    '  SYS { users: [] }',
    '}',
    'system_account: SYS',
    '',
  ].join('\n');
}

/** The environment variable of a user's password: `llm-router` → `NATS_PASSWORD_LLM_ROUTER`. */
export const passwordVariable = (user: string): string => `NATS_PASSWORD_${accountName(user)}`;
export const tenantUser = (tenant: string): string => `tenant-${tenant}`;
const accountName = (user: string): string => user.toUpperCase().replaceAll('-', '_');

interface Speaker {
  readonly user: string;
  readonly account: string;
  readonly party: Party;
  readonly tenant?: string;
}

/** `by` lets `to` use a subject of its own. */
interface Share {
  readonly kind: 'service' | 'stream';
  readonly by: string;
  readonly to: string;
  readonly subject: string;
  /** The name in the importing account, when it differs. */
  readonly as?: string;
  /** The answer is more than one message. */
  readonly streamed?: boolean;
}

/** Publishing into streams, and the consumers of one's own. */
function storedShares(speaker: Speaker): readonly Share[] {
  const share = (subject: string): Share => ({ kind: 'service', by: 'BUS', to: speaker.account, subject });
  const api = (subject: string, streamed = false): Share => ({ ...share(`$JS.API.${subject}`), as: `${API_PREFIX}.${subject}`, streamed });
  const published = FLOW.filter((route) => route.over === 'stream' && route.from.includes(speaker.party)).map((route) =>
    share(subjectFor(route, speaker)),
  );
  const consumed = CONSUMERS.filter((consumer) => consumer.owner === speaker.party).flatMap(({ stream, name }) => [
    api(`CONSUMER.INFO.${stream}.${name}`),
    api(`CONSUMER.MSG.NEXT.${stream}.${name}`, true),
    share(`$JS.ACK.${stream}.${name}.>`),
  ]);
  const claims = FLOW.some((route) => route.stream === 'CLAIMS' && route.from.includes(speaker.party));
  return [
    ...published,
    ...consumed,
    ...(claims || speaker.party === 'orchestrator' ? [api('STREAM.INFO.CLAIMS')] : []),
    ...(claims ? [api('DIRECT.GET.CLAIMS.>')] : []),
  ];
}

/** What is told, and stored events as they pass by. Work-queue streams are read through a consumer, never listened to. */
function toldShares(speaker: Speaker, all: readonly Speaker[]): readonly Share[] {
  return FLOW.filter((route) => (route.over === 'told' || route.stream === 'EVT') && route.from.includes(speaker.party)).flatMap((route) =>
    all
      .filter((listener) => route.to.includes(listener.party) && listener.account !== speaker.account)
      .map(
        (listener): Share => ({ kind: 'stream', by: speaker.account, to: listener.account, subject: heardBy(route, speaker, listener) }),
      ),
  );
}

function askedShares(speaker: Speaker): readonly Share[] {
  return FLOW.filter((route) => route.over === 'asked' && route.from.includes(speaker.party)).flatMap((route) =>
    route.to.map((answerer): Share => ({ kind: 'service', by: accountName(answerer), to: speaker.account, subject: route.subject })),
  );
}

/** A tenant speaks under its own name only; a heartbeat is said under one's own. */
function subjectFor(route: Route, speaker: Speaker): string {
  if (route.subject === 'hb.>') return `hb.${speaker.party}.*`;
  return route.subject.replace('<tenant>', speaker.tenant ?? '*');
}

const STOPPED: Partial<Record<Party, string>> = {
  analyzer: 'ctl.stop.analyze',
  'llm-router': 'ctl.stop.llm',
  'tool-runner': 'ctl.stop.tool',
} satisfies Partial<Record<ServiceName, string>>;

function heardBy(route: Route, speaker: Speaker, listener: Speaker): string {
  if (route.subject === 'ctl.stop.*') return STOPPED[listener.party] ?? route.subject;
  return route.subject === 'hb.>' ? subjectFor(route, speaker) : route.subject.replace('<tenant>', listener.tenant ?? '*');
}

function accountText(account: string, user: string, shares: readonly Share[], extra: readonly string[]): string {
  const imports = shares
    .filter((share) => share.to === account)
    .map(
      (share) =>
        `{ ${share.kind}: { account: ${share.by}, subject: "${share.subject}" }${share.as === undefined ? '' : `, to: "${share.as}"`} }`,
    );
  const lines = [
    `users: [{ user: "${user}", password: $${passwordVariable(user)} }]`,
    ...extra,
    ...block('exports', exportsOf(shares.filter((share) => share.by === account))),
    ...block('imports', imports),
  ];
  return [`  ${account} {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n');
}

const block = (name: string, entries: readonly string[]): readonly string[] =>
  entries.length === 0 ? [] : [`${name}: [`, ...entries.map((entry) => `  ${entry}`), ']'];

/** One export per subject, naming every account that may import it. */
function exportsOf(shares: readonly Share[]): readonly string[] {
  const bySubject = Map.groupBy(shares, (share) => `${share.kind}: "${share.subject}"`);
  return [...bySubject].map(
    ([what, group]) =>
      `{ ${what}, accounts: [${group.map((share) => share.to).join(', ')}]${group.some((share) => share.streamed) ? ', response_type: stream' : ''} }`,
  );
}
