/** `node packages/contracts/src/publish.ts`: writes docs/flow.md, docs/asyncapi.json and docs/schemas/ from the code. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { publishedFiles } from './published-files.ts';

const docs = new URL('../../../docs/', import.meta.url);
rmSync(new URL('schemas/', docs), { recursive: true, force: true });
mkdirSync(new URL('schemas/', docs), { recursive: true });
const files = publishedFiles();
for (const [path, text] of files) writeFileSync(new URL(path, docs), text);
process.stdout.write(`${files.size} files written to docs/\n`);
