export { llmRouter } from './service.ts';
