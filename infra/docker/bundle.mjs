// What goes into an image: one file per program, all dependencies inside, and the few files that are read at run time.
// node infra/docker/bundle.mjs <service | deploy> <folder>
import { cpSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const [name, out] = process.argv.slice(2);
if (!name || !out) throw new Error('usage: node infra/docker/bundle.mjs <service | deploy> <folder>');

/** Beside the program of the same name. `programs` are bundled too; `files` are copied as they are. */
const extras = {
  deploy: { files: { 'packages/event-store/migrations': 'migrations' } },
  'llm-router': { files: { 'services/llm-router/node_modules/@pydantic/genai-prices': 'node_modules/@pydantic/genai-prices' } },
  'tool-runner': { programs: { 'infra/local/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js': 'mcp/files.mjs' } },
};

const entry = name === 'deploy' ? 'infra/local/src/deploy.ts' : `services/${name}/src/main.ts`;
const { programs = {}, files = {} } = extras[name] ?? {};
for (const [from, to] of Object.entries({ [entry]: 'bin/main.mjs', ...programs })) await bundle(join(root, from), join(out, to));
for (const [from, to] of Object.entries(files)) copy(join(root, from), join(out, to));

async function bundle(input, file) {
  await build({
    input: realpathSync(input),
    platform: 'node',
    // Optional native parts of pg: it does without them.
    external: ['pg-native', 'pg-cloudflare'],
    output: { file, format: 'esm', sourcemap: true, sourcemapExcludeSources: true, codeSplitting: false },
  });
}

/** Without the package's own dependencies and command line. */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(realpathSync(from), to, {
    recursive: true,
    filter: (path) => !/\/(node_modules|cli\.js)$/.test(path.slice(realpathSync(from).length)),
  });
}
