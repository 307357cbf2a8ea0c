import { runService } from '@mandate/service-kit';
import { analyzer } from './service.ts';

await runService(analyzer);
