import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const sources = '{packages,services,infra}/**/src/**';

export default defineConfig({
  test: {
    maxWorkers: Number(process.env['TEST_WORKERS'] ?? Math.min(4, availableParallelism())),
    reporters: ['default', './packages/test-kit/src/plain-reporter.ts'],
    // At the root, so that it runs once, whatever projects run.
    globalSetup: ['packages/test-kit/src/global-setup.ts'],
    projects: [
      // A busy machine makes them slow, not wrong.
      {
        test: { name: 'unit', include: [`${sources}/*.test.ts`], exclude: ['**/*.int.test.ts', '**/node_modules/**'], testTimeout: 60_000 },
      },
      { test: { name: 'integration', include: [`${sources}/*.int.test.ts`], testTimeout: 30_000, hookTimeout: 30_000 } },
      // Whole systems, when the small tests are done: their waiting leaves room for each other.
      {
        test: {
          name: 'journeys',
          include: ['test/{journeys,histories}/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      // Part of `npm run faults -- --all`, not of `npm test`.
      {
        test: {
          name: 'scale',
          include: ['test/scale/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
