export { rebuild, type Rebuilt } from './rebuild.ts';
export { projector } from './service.ts';
export { openPool } from './store/pool.ts';
