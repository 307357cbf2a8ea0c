import { runService } from '@mandate/service-kit';
import { orchestrator } from './service.ts';

await runService(orchestrator);
