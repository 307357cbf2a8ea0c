import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { content, fact, holdsOf } from './fields.ts';
import { EVENTS, PUBLISHED } from './published-schemas.ts';

type Holds = 'fact' | 'content' | 'unmarked';
interface Leaf {
  readonly path: string;
  readonly kind: 'string' | 'anything';
  readonly holds: Holds;
}

/** Every place of a schema where text can stand, with its mark. */
function leavesOf(path: string, schema: z.core.$ZodType, above?: Holds): Leaf[] {
  const holds = holdsOf(schema as z.ZodType) ?? above ?? 'unmarked';
  const { def } = (schema as z.core.$ZodTypes)._zod;
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- zod has kinds that no contract uses; the default refuses them
  switch (def.type) {
    case 'string':
    case 'enum':
    case 'template_literal':
      return [{ path, kind: 'string', holds }];
    case 'literal':
      return def.values.some((value) => typeof value === 'string') ? [{ path, kind: 'string', holds }] : [];
    case 'unknown':
    case 'any':
      return [{ path, kind: 'anything', holds }];
    case 'number':
    case 'boolean':
    case 'null':
      return [];
    case 'object':
      return Object.entries(def.shape).flatMap(([key, field]) => leavesOf(`${path}.${key}`, field));
    case 'array':
      return leavesOf(`${path}[]`, def.element);
    case 'record':
      return [...leavesOf(`${path}{key}`, def.keyType), ...leavesOf(`${path}{}`, def.valueType)];
    case 'union':
      return def.options.flatMap((option, index) => leavesOf(`${path}|${index}`, option));
    case 'optional':
    case 'nullable':
    case 'default':
      return leavesOf(path, def.innerType, holdsOf(schema as z.ZodType));
    default:
      throw new Error(`${path} is a ${def.type}: teach this test where text can stand in it.`);
  }
}

const all = Object.entries(PUBLISHED).flatMap(([name, schema]) => leavesOf(name, schema));

describe('every string of every contract', () => {
  it('is found, wherever it stands', () => {
    const planted = z.object({
      a: z.array(z.union([z.string(), fact(z.string()).nullable()])),
      b: z.record(fact(z.string()), z.object({ c: content(z.string()).optional() })),
      d: z.discriminatedUnion('e', [z.object({ e: z.literal('x') }), z.object({ e: fact(z.literal('y')), n: z.number() })]),
    });
    const found = leavesOf('p', planted).map(({ path, holds }) => `${path} ${holds}`);
    expect(found).toEqual(['p.a[]|0 unmarked', 'p.a[]|1 fact', 'p.b{key} fact', 'p.b{}.c content', 'p.d|0.e unmarked', 'p.d|1.e fact']);
  });

  it('is marked as fact or content', () => {
    expect(all.length).toBeGreaterThan(300);
    expect(all.filter(({ kind, holds }) => kind === 'string' && holds === 'unmarked').map(({ path }) => path)).toEqual([]);
  });

  it('stands in a field with a schema; the few that are open are known', () => {
    const open = all.filter(({ kind, holds }) => kind === 'anything' && holds === 'unmarked').map(({ path }) => path);
    expect(open).toEqual([
      'cloud-event.data', // has the schema of its type
      'mandate.llm.run.v1.body.tools[].inputSchema', // a JSON Schema, from the operator's tool servers
      'catalog.tools|0.value.tools[].inputSchema',
      'query.events.list.answer|0.value.items[].data', // the facts of an event
    ]);
  });
});

it('no event holds content', () => {
  const events = new Set(Object.keys(EVENTS));
  const leaves = Object.entries(PUBLISHED).flatMap(([name, schema]) => (events.has(name) ? leavesOf(name, schema) : []));
  expect(leaves.length).toBeGreaterThan(150);
  expect(leaves.filter(({ holds }) => holds !== 'fact')).toEqual([]);
});
