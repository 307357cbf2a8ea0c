/** Needs Docker, so it is no part of `npm test`: node_modules/.bin/vitest run --config test/containers/vitest.config.ts */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { name: 'containers', dir: import.meta.dirname, testTimeout: 300_000, hookTimeout: 900_000, reporters: ['verbose'] },
});
