export { toolRunner } from './service.ts';
