/**
 * `npm run bench`: measures the figures that the design promises, on its own stack with fsync on, and prints them
 * beside the promises. It asserts nothing. `--only core,recovery`, `--seconds 5`, `--rounds 3`, `--out file`,
 * `--profile folder` (CPU profiles of the services), `--cold` (set-up times from nothing: downloads everything).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { core } from './items/core.ts';

const { values } = parseArgs({ options: { only: { type: 'string' }, seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' }, profile: { type: 'string' } } });
process.env['LOG_LEVEL'] = 'warn';
process.env['NODE_ENV'] = 'production';
const folder = await mkdtemp(join(tmpdir(), 'mandate-bench-'));
const started = performance.now();
try {
  const found = await core.measure({ seconds: Number(values.seconds), rounds: Number(values.rounds), folder, profile: values.profile, say: (line) => console.error(`[bench ${((performance.now() - started) / 1000).toFixed(1)}s] ${line}`) });
  console.log(JSON.stringify(found, (key, value) => (key === 'samples' ? undefined : value), 1));
} finally {
  await rm(folder, { recursive: true, force: true });
}
