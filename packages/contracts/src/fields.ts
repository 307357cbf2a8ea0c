import { z } from 'zod';

/**
 * Every string of a contract is marked: a `fact` may stand in events, metrics and logs; `content` is somebody's words
 * (task text, prompts, answers, arguments, results) and lives only in the encrypted content table and on work-queue
 * streams. A test walks all schemas and refuses an unmarked string.
 */
export const fact = <T extends z.ZodType>(schema: T): T => schema.meta({ holds: 'fact' }) as T;
export const content = <T extends z.ZodType>(schema: T): T => schema.meta({ holds: 'content' }) as T;

export const holdsOf = (schema: z.ZodType): 'fact' | 'content' | undefined =>
  z.globalRegistry.get(schema)?.['holds'] as 'fact' | 'content' | undefined;

/** A single subject token. */
export const token = fact(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -'));
export const tenantId = fact(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a lower-case name of at most 32 characters'));
export const workflowId = fact(z.string().regex(/^wf_\d{2}_[a-z2-7]{26}$/, 'must be a workflow id: wf_<partition>_<26 characters>'));
export const accountId = fact(z.string().regex(/^ac_\d{2}_[a-z2-7]{26}$/, 'must be an account id: ac_<partition>_<26 characters>'));
export const sha256Hex = fact(z.string().regex(/^[0-9a-f]{64}$/));
/** Digest of somebody's words under the workflow's own key: equal words can be told, and nothing can once the key is gone. */
export const keyedDigest = fact(z.string().regex(/^[0-9a-f]{0,32}$/));
/** A word of ours: an error code, a reason, a rule id. */
export const word = fact(z.string().min(1).max(200));
export const shortText = fact(z.string().max(1_000));
export const count = z.number().int().nonnegative();
export const epochMs = z.number().int().nonnegative();
export const microUsd = z.number().int().nonnegative();
