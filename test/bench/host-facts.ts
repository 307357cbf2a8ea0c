/** On what, and of what, a measurement was taken. */
import { natsServerBinary, repositoryRoot } from '@mandate/local';
import { execFileSync } from 'node:child_process';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';

export interface HostFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly nats: string;
  /** `not asked` until an item asks a running server. */
  readonly postgres: string;
  readonly commit: string;
  /** Whether anything was changed since that commit. */
  readonly isDirty: boolean;
}

export function hostFacts(): HostFacts {
  const git = (...args: readonly string[]): string => execFileSync('git', args, { cwd: repositoryRoot, encoding: 'utf8' }).trim();
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${platform()} ${arch()} ${release()}`,
    node: process.version,
    nats: execFileSync(natsServerBinary(), ['--version'], { encoding: 'utf8' }).trim(),
    postgres: 'not asked',
    commit: git('rev-parse', '--short=10', 'HEAD'),
    isDirty: git('status', '--porcelain', '--untracked-files=no') !== '',
  };
}

/** Load averages of 1, 5 and 15 minutes. */
export const load = (): readonly number[] => loadavg().map((value) => Math.round(value * 100) / 100);
