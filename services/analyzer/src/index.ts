export { analyzer } from './service.ts';
