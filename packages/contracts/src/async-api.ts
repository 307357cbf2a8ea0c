import { CONSUMERS, FLOW, type Party, type Route, STREAMS, TYPES } from './flow.ts';
import { EVENTS, MESSAGES, PLAIN } from './published-schemas.ts';
import { QUERIES } from './messages/queries.ts';
import { subjects } from './subjects.ts';

/** The bus as an AsyncAPI 3.0 document: its channels are the rows of the flow table, its schemas the published ones. */
export function asyncApi(): Record<string, unknown> {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Mandate: the bus',
      version: '1',
      description:
        'Everything that is said on NATS, by whom and to whom. A program outside needs the operations tagged `tenant` and docs/bus.md. Printed from packages/contracts/src/flow.ts.',
    },
    defaultContentType: 'application/json',
    servers: {
      bus: {
        host: '{host}:{port}',
        protocol: 'nats',
        description: 'nats-server 2.10 or later with JetStream; one account per service and per tenant.',
        variables: { host: { default: '127.0.0.1' }, port: { default: '4222' } },
        security: [{ $ref: '#/components/securitySchemes/password' }],
      },
    },
    channels: { ...Object.fromEntries(FLOW.map((route) => [channelName(route), channel(route)])), ...replyChannels() },
    operations: Object.fromEntries(FLOW.flatMap(operations)),
    components: { messages: messages(), securitySchemes: { password: { type: 'userPassword' } } },
  };
}

const open = (name: string): string => `{${name}}`;
const PARTITION = open('partition') as unknown as number;

const QUESTIONS: Readonly<Record<string, string>> = {
  projector: open('query'),
  'llm-router': open('question'),
  orchestrator: `account-${open('partition')}`,
};

/** The subjects of the flow table with names for the tokens that it leaves open, as `subjects` builds them. */
function addressOf(route: Route): string {
  const { subject } = route;
  const inbox = /^in\.\*\.(.+)\.\*$/.exec(subject)?.[1];
  if (inbox !== undefined) return subjects.inbox(PARTITION, inbox as never, open('tenant'));
  const command = /^cmd\.(.+)\.>$/.exec(subject)?.[1];
  if (command !== undefined) return subjects.command(command as never, PARTITION, open('tenant'));
  const query = /^q\.(.+)\.>$/.exec(subject)?.[1];
  if (query !== undefined) return subjects.query(query as never, QUESTIONS[query] ?? 'catalog');
  const address: Readonly<Record<string, string>> = {
    'task.<tenant>.*': subjects.task(open('tenant'), open('request')),
    'out.<tenant>.*': subjects.out(open('tenant'), open('request')),
    'claim.*.*': subjects.claim(open('workflow'), open('attempt')),
    'ctl.lease.*': subjects.lease(open('router')),
    'ctl.standing': subjects.standing(),
    'ctl.keys': subjects.keysDestroyed(),
    'ctl.partitions': subjects.partitionsFree(),
    'ctl.grant.*': subjects.grant(open('runner')),
    'ctl.stop.*': subjects.stop(open('kind') as never),
    'evt.>': subjects.event(PARTITION, open('tenant'), open('workflow'), open('type')),
    'hb.>': subjects.heartbeat(open('service') as never, open('instance')),
  };
  const found = address[subject];
  if (found === undefined) throw new Error(`flow.ts has the subject ${subject}; say in async-api.ts what its tokens are called.`);
  return found;
}

const TOKENS: Readonly<Record<string, string>> = {
  attempt: 'One try at a step, for example a0_s2_t1.',
  instance: 'One start of one process.',
  kind: 'analyze, llm or tool.',
  partition: '0 to 15; it stands inside the workflow id.',
  query: `One of ${Object.keys(QUERIES).join(', ')}.`,
  question: 'catalog or call.',
  request: 'What the client calls its request: 1 to 64 of A-Z a-z 0-9 _ -. The same one again is the same request.',
  router: 'Instance of the llm-router that asked.',
  runner: 'Instance of the tool-runner that asked.',
  service: 'Name of a service.',
  tenant: 'Whose work it is: comes from the credential.',
  type: 'Type of the event with "-" for ".": task-submitted.',
  workflow: 'wf_<partition>_<26 characters>.',
};

/** `task.<tenant>.*` is `task-tenant`: no two rows have one subject. */
const channelName = (route: Route): string => route.subject.replaceAll(/[.*<>]+/g, '-').replace(/-$/, '');

function channel(route: Route): Record<string, unknown> {
  const address = addressOf(route);
  const parameters = [...address.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, { description: TOKENS[name] }]);
  const stream = STREAMS.find(({ name }) => name === route.stream);
  const consumers = CONSUMERS.filter((consumer) => consumer.stream === route.stream && route.to.includes(consumer.owner));
  return {
    address,
    summary: route.says,
    messages: Object.fromEntries(messageNames(route).map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    ...(parameters.length === 0 ? {} : { parameters: Object.fromEntries(parameters) }),
    'x-over': route.over,
    ...(stream === undefined
      ? {}
      : {
          'x-stream': {
            name: stream.name,
            retention: stream.retention,
            maxAgeMs: stream.maxAgeMs,
            duplicateWindowMs: stream.duplicateWindowMs,
          },
        }),
    ...(consumers.length === 0 ? {} : { 'x-consumers': consumers.map(({ name, filter, ackWaitMs }) => ({ name, filter, ackWaitMs })) }),
  };
}

/** What a row of the flow table says, by the names of the messages here. */
function messageNames(route: Route): readonly string[] {
  if (route.message === 'every event') return Object.keys(EVENTS);
  if (route.message === 'queries') return Object.keys(QUERIES).map((name) => `query.${name}.ask`);
  return route.message.split(', ').map((name) => {
    if (name === 'claim' || name === 'heartbeat') return name;
    if (name === 'catalog' || Object.hasOwn(PLAIN, `${name}.ask`)) return `${name}.ask`;
    const type = `mandate.${name}.v1`;
    if (!(type in MESSAGES)) throw new Error(`flow.ts names the message ${name}; there is no type ${type} in TYPES.`);
    return type;
  });
}

const answersOf = (route: Route): readonly string[] =>
  route.message === 'queries'
    ? Object.keys(QUERIES).map((name) => `query.${name}.answer`)
    : route.message.split(', ').map((name) => {
        if (name !== 'catalog') return `${name}.answer`;
        return route.to.includes('tool-runner') ? 'catalog.tools' : 'catalog.models';
      });

function replyChannels(): Record<string, unknown> {
  return Object.fromEntries(
    FLOW.filter((route) => route.over === 'asked').map((route) => [
      `${channelName(route)}-answer`,
      { address: null, messages: Object.fromEntries(answersOf(route).map((name) => [name, { $ref: `#/components/messages/${name}` }])) },
    ]),
  );
}

/** One operation per row and party: `tenant.sends.task-tenant`. */
function operations(route: Route): readonly (readonly [string, unknown])[] {
  const on = channelName(route);
  const reply =
    route.over === 'asked'
      ? { reply: { address: { location: '$message.header#/reply' }, channel: { $ref: `#/channels/${on}-answer` } } }
      : {};
  const one = (party: Party, action: 'send' | 'receive'): readonly [string, unknown] => [
    `${party}.${action}s.${on}`,
    { action, channel: { $ref: `#/channels/${on}` }, summary: route.says, tags: [{ name: party }], ...reply },
  ];
  return [...route.from.map((party) => one(party, 'send')), ...route.to.map((party) => one(party, 'receive'))];
}

function messages(): Record<string, unknown> {
  const enveloped = [...Object.keys(MESSAGES), ...Object.keys(EVENTS)].map((type) => [type, envelopedMessage(type)]);
  const plain = Object.keys(PLAIN).map((name) => [
    name,
    { name, contentType: 'application/json', payload: { $ref: `./schemas/${name}.json` } },
  ]);
  return {
    ...Object.fromEntries(enveloped),
    ...Object.fromEntries(plain),
    'catalog.ask': { name: 'catalog.ask', contentType: 'application/json', payload: { type: 'object' } },
    claim: {
      name: 'claim',
      contentType: 'text/plain',
      summary: '<instance>/<random>: the first one on its subject has the attempt',
      payload: { type: 'string' },
    },
  };
}

const COMMANDS: readonly string[] = [TYPES.analyzeRun, TYPES.llmRun, TYPES.toolRun];

function envelopedMessage(type: string): Record<string, unknown> {
  const signed = {
    type: 'object',
    required: ['Mandate-Signature'],
    properties: { 'Mandate-Signature': { type: 'string', description: 'HMAC-SHA256 of the whole message, base64url' } },
  };
  return {
    name: type,
    contentType: 'application/cloudevents+json',
    ...(COMMANDS.includes(type) ? { headers: signed } : {}),
    payload: {
      allOf: [
        { $ref: './schemas/cloud-event.json' },
        { type: 'object', properties: { type: { const: type }, data: { $ref: `./schemas/${type}.json` } } },
      ],
    },
  };
}
