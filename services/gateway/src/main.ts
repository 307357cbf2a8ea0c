import { runService } from '@mandate/service-kit';
import { gateway } from './service.ts';

await runService(gateway);
