import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { PROVIDERS } from '../language-model.ts';

const usd = z.number().min(0).max(100_000);

/** A line of the operator's table: a model that we do not know, or other terms for one that we do. */
const operatorModel = z.strictObject({
  id: z.string().min(1).max(120),
  provider: z.enum(PROVIDERS),
  tier: z.enum(['cheap', 'medium', 'powerful']),
  contextTokens: z.number().int().positive(),
  maxOutputTokens: z.number().int().positive(),
  inputUsdPerMillionTokens: usd,
  outputUsdPerMillionTokens: usd,
  /** Default: as dear as other input. */
  cachedInputUsdPerMillionTokens: usd.optional(),
  /** Whether the model can call tools. */
  tools: z.boolean().default(true),
});
export type OperatorModel = z.infer<typeof operatorModel>;

const operatorTable = z.strictObject({ models: z.array(operatorModel) });

class ModelsFileInvalid extends Error {
  override readonly name = 'ModelsFileInvalid';
}

/** Reads MANDATE_MODELS_FILE. @throws ModelsFileInvalid naming the file and the path of every wrong field */
export function readOperatorTable(file: string | undefined): readonly OperatorModel[] {
  if (file === undefined) return [];
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ModelsFileInvalid(`MANDATE_MODELS_FILE ${file} is not readable JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = operatorTable.safeParse(json);
  if (parsed.success) return parsed.data.models;
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new ModelsFileInvalid(`MANDATE_MODELS_FILE ${file} is not right:\n${problems.join('\n')}`);
}
