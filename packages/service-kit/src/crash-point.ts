/**
 * Named places where a process may be killed by the fault suite: `MANDATE_CRASH=<point>@<n>` kills this process with
 * SIGKILL the n-th time that it passes the point. Without the variable a point is one comparison. Never in production.
 */
const armed = parse(process.env['NODE_ENV'] === 'production' ? undefined : process.env['MANDATE_CRASH']);
let passed = 0;

export function crashPoint(point: string): void {
  if (armed === undefined || armed.point !== point) return;
  passed += 1;
  if (passed === armed.occurrence) process.kill(process.pid, 'SIGKILL');
}

function parse(text: string | undefined): { readonly point: string; readonly occurrence: number } | undefined {
  if (text === undefined || text === '') return undefined;
  const [point, occurrence] = text.split('@');
  return { point: point ?? '', occurrence: Number(occurrence ?? 1) };
}
