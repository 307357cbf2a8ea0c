/**
 * Imports go one way: `domain ← contracts ← event-store, messaging ← service-kit ← services`; `audit` reaches nothing. pnpm lets a
 * package reach only what its package.json names, so holding those files holds the walls. Inside a package, oxlint forbids cycles; in
 * domain, everything impure.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

type Manifest = {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string>>;
};

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const folders = globSync('{packages/*,services/*,infra/*,test}', { cwd: root }).filter((folder) =>
  existsSync(join(root, folder, 'package.json')),
);
const packages = folders.map((folder) => ({
  folder,
  manifest: JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest,
}));

/** What each room may reach. A service may reach every room that is named for `service`, and no other service. */
const mayReach: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  audit: [],
  contracts: ['domain'],
  'event-store': ['domain', 'contracts'],
  messaging: ['domain', 'contracts'],
  'service-kit': ['domain', 'contracts', 'messaging'],
  service: ['domain', 'audit', 'contracts', 'event-store', 'messaging', 'service-kit'],
  local: ['audit', 'contracts', 'event-store', 'messaging'],
  'audit-cli': ['domain', 'audit', 'contracts', 'event-store'],
  'backup-cli': ['domain', 'audit', 'contracts', 'event-store', 'local'],
  client: ['contracts'],
  cli: ['contracts', 'client'],
  dashboard: ['contracts', 'client'],
};

const own = (names: Readonly<Record<string, string>> = {}): string[] =>
  Object.keys(names).flatMap((name) => (name.startsWith('@mandate/') ? [name.slice('@mandate/'.length)] : []));

const seesEverything = new Set(['test-kit', 'tests']);

test('every package is found', () => {
  expect(folders.length).toBeGreaterThanOrEqual(14);
});

test.each(packages)('$manifest.name reaches only the rooms to its left', ({ folder, manifest }) => {
  const [room] = own({ [manifest.name]: '' });
  expect(room, `${folder}/package.json: the name is not @mandate/…`).toBeDefined();
  if (seesEverything.has(room ?? '')) return;
  const allowed = mayReach[folder.startsWith('services/') ? 'service' : (room ?? '')];
  expect(allowed, `${folder}: a new room. Say in import-walls.test.ts what it may reach.`).toBeDefined();
  for (const dependency of own(manifest.dependencies))
    expect(allowed, `${manifest.name} must not depend on ${dependency}`).toContain(dependency);
  for (const dependency of own(manifest.devDependencies)) {
    expect([...(allowed ?? []), 'test-kit'], `${manifest.name} must not depend on ${dependency}, not even in tests`).toContain(dependency);
  }
});

test('the domain depends on nothing', () => {
  const domain = packages.find(({ manifest }) => manifest.name === '@mandate/domain');
  expect(domain?.manifest.dependencies ?? {}).toEqual({});
});

test('test-kit is for tests alone', () => {
  const users = packages.filter(({ manifest }) => own(manifest.dependencies).includes('test-kit'));
  expect(users.map(({ folder }) => folder)).toEqual(['test']);
});

test('no file reaches into another package by its path', () => {
  const sources = globSync('{packages,services,infra}/*/src/**/*.ts', { cwd: root });
  const trespasses = sources.flatMap((file) => {
    const depthBelowPackage = file.split(/[\\/]/).length - 3;
    const imports = readFileSync(join(root, file), 'utf8').matchAll(/from '((?:\.\.\/)+)/g);
    return [...imports].some(([, ups = '']) => ups.length / 3 >= depthBelowPackage) ? [file] : [];
  });
  expect(trespasses).toEqual([]);
});

test('every package offers its index and nothing below it', () => {
  for (const { folder, manifest } of packages) {
    if (manifest.name === '@mandate/tests') continue;
    expect(
      Object.keys(manifest.exports ?? {}).filter((door) => !['.', './main'].includes(door)),
      folder,
    ).toEqual([]);
  }
});
