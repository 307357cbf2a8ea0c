export { orchestrator } from './service.ts';
