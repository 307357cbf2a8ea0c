import { jsonDepth } from '@mandate/contracts';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { timeLimited, TookTooLong } from './time-limited.ts';

/** A schema that cannot be used: too large, too deep, pointing elsewhere, or not a schema. */
export class SchemaUnusable extends Error {
  override readonly name = 'SchemaUnusable';
}

const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_SCHEMA_DEPTH = 32;
/** Of processor time. */
const COMPILE_WITHIN_MS = 500;
const CHECK_WITHIN_MS = 100;
/**
 * Keywords whose check can take more than one pass: regular expressions, references, comparisons of all with all. Only
 * they need a clock, which costs 0.1 to 0.2 ms: more than a third of the runner's time per call when all were checked so.
 */
const MAY_TAKE_LONG =
  /"(pattern|patternProperties|propertyNames|format|\$ref|\$dynamicRef|\$recursiveRef|uniqueItems|contains|unevaluated\w+)"/;

const options = { strict: false, allErrors: false, logger: false, unicodeRegExp: false } as const;
const drafts = { draft7: withFormats(new Ajv(options)), draft2020: withFormats(new Ajv2020(options)) };

const own = new Set([...Object.keys(drafts.draft7.refs), ...Object.keys(drafts.draft2020.refs)]);

function withFormats<T extends Ajv>(ajv: T): T {
  (addFormats as unknown as (to: Ajv) => void)(ajv);
  return ajv;
}

/** Says what is wrong with a value, by path and rule; undefined when nothing is. */
export type Check = (value: unknown) => string | undefined;

/** Refuses what would be expensive or would load something. @throws SchemaUnusable */
export function refuseUnboundedSchema(schema: unknown): asserts schema is object {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) throw new SchemaUnusable('the schema is not an object');
  const json = JSON.stringify(schema);
  if (Buffer.byteLength(json) > MAX_SCHEMA_BYTES) throw new SchemaUnusable(`the schema is larger than ${MAX_SCHEMA_BYTES} bytes`);
  if (jsonDepth(json) > MAX_SCHEMA_DEPTH) throw new SchemaUnusable(`the schema is nested deeper than ${MAX_SCHEMA_DEPTH} levels`);
  const elsewhere = referencesIn(schema).find((reference) => !reference.startsWith('#'));
  if (elsewhere !== undefined)
    throw new SchemaUnusable(`the schema refers to ${elsewhere.slice(0, 100)}; only references within it are followed`);
}

function referencesIn(node: unknown): readonly string[] {
  if (Array.isArray(node)) return node.flatMap(referencesIn);
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) =>
    ['$ref', '$dynamicRef', '$recursiveRef'].includes(key) && typeof value === 'string' ? [value] : referencesIn(value),
  );
}

/**
 * Compiles a tool's JSON Schema: draft-07 when it says so, else 2020-12 (MCP's default).
 * @throws SchemaUnusable
 */
export function compileCheck(schema: unknown): Check {
  refuseUnboundedSchema(schema);
  const { $schema: dialect, $id: _, ...rest } = schema as { $schema?: unknown; $id?: unknown };
  const ajv = typeof dialect === 'string' && /draft-0[4-7]/.test(dialect) ? drafts.draft7 : drafts.draft2020;
  let validate: ValidateFunction;
  let mine: object = rest;
  try {
    // Each time a schema of its own: ajv would go on with what was broken off.
    validate = timeLimited(COMPILE_WITHIN_MS, () => {
      mine = structuredClone(rest);
      return ajv.compile(mine);
    });
  } catch (cause) {
    throw new SchemaUnusable(`the schema cannot be compiled: ${(cause as Error).message.slice(0, 200)}`, { cause });
  } finally {
    forget(ajv, mine);
  }
  const limitMs = MAY_TAKE_LONG.test(JSON.stringify(rest)) ? CHECK_WITHIN_MS : undefined;
  return (value) => checkWith(validate, value, limitMs);
}

/** Nothing of one server's schema may be found by another's. */
function forget(ajv: Ajv, schema: object): void {
  ajv.removeSchema(schema);
  for (const id of Object.keys(ajv.refs)) if (!own.has(id)) delete ajv.refs[id];
}

/** `limitMs`: undefined for a check that takes one pass over the value. */
function checkWith(validate: ValidateFunction, value: unknown, limitMs: number | undefined): string | undefined {
  try {
    if (limitMs === undefined ? validate(value) : timeLimited(limitMs, () => validate(value))) return undefined;
  } catch (error) {
    if (error instanceof TookTooLong || error instanceof RangeError) return 'too expensive to check against the schema';
    throw error;
  }
  return describe(validate.errors?.[0]);
}

/** Path and rule, never the value: that is somebody's content. */
function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return 'does not match the schema';
  const path = error.instancePath === '' ? 'arguments' : `arguments${error.instancePath.replaceAll('/', '.')}`;
  const params = error.params as { readonly additionalProperty?: string; readonly allowedValues?: readonly unknown[] };
  const detail =
    params.additionalProperty !== undefined
      ? ` ("${params.additionalProperty.slice(0, 60)}")`
      : params.allowedValues !== undefined
        ? ` (${JSON.stringify(params.allowedValues).slice(0, 120)})`
        : '';
  return `${path} ${error.message ?? 'is not right'}${detail}`;
}
