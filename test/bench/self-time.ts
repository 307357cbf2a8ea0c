/** `node test/bench/self-time.ts <file.cpuprofile> [rows]`: where a process spent its time, function by function. */
import { readFileSync } from 'node:fs';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const [file = '', rows = '40'] = process.argv.slice(2);
const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
const nameOf = new Map(profile.nodes.map((node) => [node.id, describe(node.callFrame)]));
const micros = new Map<string, number>();
for (const [index, sample] of profile.samples.entries()) {
  const name = nameOf.get(sample) ?? '(unknown)';
  micros.set(name, (micros.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0));
}
const busy = [...micros].filter(([name]) => !name.startsWith('(idle)')).sort(([, a], [, b]) => b - a);
const busyMicros = busy.reduce((sum, [, time]) => sum + time, 0);
console.log(`busy ${(busyMicros / 1e6).toFixed(1)} s`);
for (const [name, time] of busy.slice(0, Number(rows))) console.log(`${((100 * time) / busyMicros).toFixed(1).padStart(5)} %  ${name}`);

function describe({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const place = url.replace(/^.*\/(node_modules\/\.pnpm\/)?(?=[^/]+\/node_modules|packages|services)/, '').replace(/^file:\/\//, '');
  return `${functionName || '(anonymous)'} ${place === '' ? '' : `${place}:${lineNumber + 1}`}`;
}
