import { CONSUMERS, FLOW, type Party, type Route, STREAMS } from './flow.ts';

/** docs/flow.md: the flow table for reading, and its picture. */
export function flowPage(): string {
  return [
    '# Who says what to whom',
    '',
    'Printed from `packages/contracts/src/flow.ts` by `node packages/contracts/src/publish.ts`: change the table there, not here.',
    'Payloads: [schemas](schemas/), [AsyncAPI](asyncapi.json). How a program outside takes part: [bus.md](bus.md).',
    '',
    '```mermaid',
    ...picture(),
    '```',
    '',
    'Thick arrows are stored by JetStream, thin ones are core NATS (told to whoever listens now), dotted ones are questions with an answer. Heartbeats (everybody to everybody) are left out.',
    'EVT is stored and nobody consumes it: listeners hear events as they pass by, and read the log for what they missed.',
    '',
    '## The table',
    '',
    'In subjects `*` is one token, `>` the rest, `<tenant>` the speaker’s own tenant.',
    '',
    ...table(
      ['says', 'who', 'to whom', 'on', 'over', 'meaning'],
      FLOW.map((route) => [
        route.message,
        parties(route.from),
        parties(route.to),
        `\`${route.subject}\``,
        route.stream ?? route.over,
        route.says,
      ]),
    ),
    '',
    '## Streams',
    '',
    ...table(
      ['stream', 'subjects', 'kept', 'at most', 'when full', 'same `Nats-Msg-Id` again'],
      STREAMS.map((stream) => [
        stream.name,
        stream.subjects.map((subject) => `\`${subject}\``).join(' '),
        stream.retention === 'workqueue' ? 'until acknowledged' : stream.maxAgeMs === 0 ? 'always' : `for ${spanOf(stream.maxAgeMs)}`,
        `${stream.maxMessages < 0 ? '' : `${stream.maxMessages.toLocaleString('en')} messages, `}${stream.maxBytes / 1024 ** 3} GiB`,
        stream.discard === 'new' ? 'refuses new ones' : 'forgets old ones',
        `dropped for ${spanOf(stream.duplicateWindowMs)}`,
      ]),
    ),
    '',
    ...STREAMS.flatMap(({ name, transform }) =>
      transform === undefined ? [] : [`${name} maps \`${transform.from}\` to \`${transform.to}\` when a message comes in.`, ''],
    ),
    '## Consumers',
    '',
    'Every consumer is durable, acknowledges one by one and delivers without end; competing processes of a service share it.',
    '',
    ...table(['stream', 'consumer', 'reads', 'for', 'goes to another after', 'unacknowledged at most'], consumerRows()),
    '',
  ].join('\n');
}

const parties = (names: readonly Party[]): string => (names.length > 5 ? 'everybody' : names.join(', ') || '–');
const spanOf = (ms: number): string => (ms >= 3_600_000 ? `${ms / 3_600_000} h` : ms >= 60_000 ? `${ms / 60_000} min` : `${ms} ms`);

/** The inbox has one consumer per partition: one row stands for all of them. */
function consumerRows(): readonly (readonly string[])[] {
  const inbox = CONSUMERS.filter(({ stream }) => stream === 'IN');
  const rows = CONSUMERS.filter(({ stream }) => stream !== 'IN').map(({ stream, name, filter, owner, ackWaitMs, maxAckPending }) => [
    stream,
    name,
    `\`${filter}\``,
    owner,
    `${ackWaitMs} ms`,
    `${maxAckPending}`,
  ]);
  const [first] = inbox;
  if (first === undefined) return rows;
  return [
    ...rows,
    ['IN', `orchestrator-p0 … p${inbox.length - 1}`, '`in.<p>.>`', first.owner, `${first.ackWaitMs} ms`, `${first.maxAckPending}`],
  ];
}

/** Columns are padded as the repository's formatter pads them. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((name, column) => Math.max(3, name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

const ARROWS: Readonly<Record<Route['over'], string>> = { stream: '==>', told: '-->', asked: '-.->' };

function picture(): readonly string[] {
  const drawn = FLOW.filter((route) => route.to.length > 0 && route.message !== 'heartbeat');
  const arrows = drawn.flatMap((route) =>
    route.from.flatMap((from) => route.to.map((to) => ({ between: `${from} ${ARROWS[route.over]}`, to, message: route.message }))),
  );
  const grouped = Map.groupBy(arrows, ({ between, to }) => `${between} ${to}`);
  return [
    'flowchart LR',
    ...[...new Set(arrows.flatMap(({ between, to }) => [between.split(' ')[0] ?? '', to]))].map(
      (party) => `  ${party}${party === 'tenant' ? '(["tenant: any program"])' : `[${party}]`}`,
    ),
    ...[...grouped.values()].map(
      ([first, ...more]) => `  ${first?.between}|"${[first, ...more].map((arrow) => arrow?.message).join(', ')}"| ${first?.to}`,
    ),
  ];
}
