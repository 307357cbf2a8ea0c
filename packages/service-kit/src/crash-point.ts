import { readFileSync, unlinkSync } from 'node:fs';

/**
 * Named places where a process may be killed by the fault suite. `MANDATE_CRASH_FILE` names a file; while it holds
 * `<point>@<n>`, the process that passes the point the n-th time removes the file and kills itself with SIGKILL, so the
 * one that replaces it lives. Without the variable a point is one comparison. Never in production.
 */
const file = process.env['NODE_ENV'] === 'production' ? undefined : process.env['MANDATE_CRASH_FILE'];
const passed = new Map<string, number>();

export function crashPoint(point: string): void {
  if (file === undefined) return;
  const order = read(file);
  if (order === undefined || !order.startsWith(`${point}@`)) return;
  const times = (passed.get(order) ?? 0) + 1;
  passed.set(order, times);
  if (times !== Number(order.slice(point.length + 1))) return;
  unlinkSync(file);
  process.kill(process.pid, 'SIGKILL');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
