/** One instant worker as a service process of its own, for benches: `INSTANT_KIND` is `llm` (the default) or `tool`. */
import { runService } from '@mandate/service-kit';
import { instantWorker } from './instant-workers.ts';

await runService(instantWorker(process.env['INSTANT_KIND'] === 'tool' ? 'tool' : 'llm'));
