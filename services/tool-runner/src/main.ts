import { runService } from '@mandate/service-kit';
import { toolRunner } from './service.ts';

await runService(toolRunner);
