/** The stub model as a process of its own, so that its work is not the bench's. */
import { repositoryRoot } from '@mandate/local';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface StubModelProcess {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** It ends with its input, so it cannot outlive the bench. */
export async function startStubModelProcess(): Promise<StubModelProcess> {
  const child = spawn(process.execPath, [join(repositoryRoot, 'packages/test-kit/src/stub-model-main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const firstLine = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const line = await Promise.race([firstLine.then(([text]) => text), ended.then(() => undefined)]);
  if (line === undefined) throw new Error('the stub model ended before it served');
  return {
    url: (JSON.parse(line) as { url: string }).url,
    pid: child.pid ?? 0,
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
