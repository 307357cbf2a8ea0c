import { createLogger, runService } from '@mandate/service-kit';
import { rebuild } from './rebuild.ts';
import { projector } from './service.ts';

if (process.argv.includes('--rebuild')) await rebuildAndReport();
else await runService(projector);

async function rebuildAndReport(): Promise<void> {
  const log = createLogger('projector', 'rebuild', process.env['LOG_LEVEL'] ?? 'info');
  const databaseUrl = process.env['DATABASE_URL'];
  if (databaseUrl === undefined) {
    process.stderr.write('--rebuild needs DATABASE_URL: postgres:// of the role mandate_projector.\n');
    process.exit(1);
  }
  const { events, ms } = await rebuild(databaseUrl, log);
  log.info({ events, ms, eventsPerSecond: Math.round((events * 1_000) / Math.max(1, ms)) }, 'read models rebuilt');
}
