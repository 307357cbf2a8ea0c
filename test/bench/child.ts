/** Measuring programs in processes of their own: `{…}` on the last line of their output is what they found. */
import { repositoryRoot } from '@mandate/local';
import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** Runs a program with node and returns its last line, read as JSON. @throws with its words when it fails */
export async function measureInChild<Found>(
  program: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Found> {
  const child = spawn(process.execPath, [join(repositoryRoot, program), ...args], {
    cwd: repositoryRoot,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  let output = '';
  let problems = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (problems += chunk));
  const code = await new Promise<number | null>((ended) => child.once('close', ended));
  process.off('exit', killWithUs);
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  if (code !== 0 || !last.startsWith('{'))
    throw new Error(`${program} ended with ${code}: ${problems.slice(-2_000)}${output.slice(-2_000)}`);
  return JSON.parse(last) as Found;
}
