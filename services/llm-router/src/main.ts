import { runService } from '@mandate/service-kit';
import { llmRouter } from './service.ts';

await runService(llmRouter);
