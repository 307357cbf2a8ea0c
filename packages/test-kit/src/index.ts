export { type FreshDatabase, type FreshNats, freshDatabase, freshNats } from './servers.ts';
