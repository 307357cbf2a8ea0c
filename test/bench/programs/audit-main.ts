/**
 * The audit command, in this process. Behind its own words it prints `{"seconds","peakMegabytes"}`: from the start of the
 * process to its end, Node's own start included, and the most memory that was resident (10^6 bytes).
 */
import { writeSync } from 'node:fs';

process.once('exit', () => {
  const peakMegabytes = (process.resourceUsage().maxRSS * 1_024) / 1e6;
  writeSync(1, `${JSON.stringify({ seconds: performance.now() / 1_000, peakMegabytes })}\n`);
});
await import('../../../packages/audit-cli/src/main.ts');
