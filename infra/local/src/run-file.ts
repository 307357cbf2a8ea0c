/** `<home>/run.json`: how a running stack describes itself to people, tests and tools on this machine. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readIfThere, writePrivateFile } from './private-file.ts';

const runningService = z.object({ name: z.string(), pid: z.number(), url: z.string() });

const runFile = z.object({
  gateway: z.object({ url: z.string(), apiKey: z.string() }),
  /** With the credentials of the tenant whose API key is above: what another service needs to publish tasks. */
  nats: z.object({ url: z.string(), user: z.string(), password: z.string(), monitorUrl: z.string() }),
  postgres: z.object({ url: z.string() }),
  services: z.array(runningService),
});

/** A running stack. It holds secrets, so its file is for its owner alone. */
export type RunFile = z.infer<typeof runFile>;

/** Where the description of a stack with this data folder lies. */
export function runFilePath(home: string): string {
  return join(home, 'run.json');
}

export async function writeRunFile(home: string, run: RunFile): Promise<void> {
  await writePrivateFile(runFilePath(home), `${JSON.stringify(run, undefined, 2)}\n`);
}

/** The running stack of this data folder, or `undefined` when none runs. */
export async function readRunFile(home: string): Promise<RunFile | undefined> {
  const text = await readIfThere(runFilePath(home));
  return text === undefined ? undefined : runFile.parse(JSON.parse(text));
}

export async function removeRunFile(home: string): Promise<void> {
  await rm(runFilePath(home), { force: true });
}
