/** `npm run doctor`: what is wrong with the stack of this data folder, and what helps. */
import { parseArgs } from 'node:util';
import { homeFolder } from '../paths.ts';
import { readRunFile, runFilePath } from '../run-file.ts';
import { paint } from '../timeline.ts';
import { CHECKS, SELF_TEST } from './checks.ts';
import { examine } from './examine.ts';

const help = `npm run doctor              look at the running stack: secrets, disk, Postgres, NATS, services, log, read models
npm run doctor -- --task    and run a small task through it
npm run doctor -- --json    a line of JSON per check

  MANDATE_HOME   its data folder (default .mandate/)

It changes nothing (but for the task). Ends with 0 when all is well, 1 when something is not, 2 when nothing runs.
`;

process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { task: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const home = homeFolder();
  const run = await readRunFile(home);
  if (run === undefined) {
    process.stderr.write(
      `Nothing runs: there is no ${runFilePath(home)}. Start a stack with npm start, or name its folder with MANDATE_HOME.\n`,
    );
    return 2;
  }
  let wrong = 0;
  for await (const finding of examine({ home, run }, values.task === true ? [...CHECKS, SELF_TEST] : CHECKS)) {
    if (!finding.ok) wrong++;
    const { check, ok, found, helps } = finding;
    const line = `${ok ? 'ok  ' : paint('bad', 'FAIL')}  ${check.padEnd(22)} ${found}${helps === undefined ? '' : `\n${' '.repeat(29)}${helps}`}`;
    process.stdout.write(`${values.json === true ? JSON.stringify(finding) : line}\n`);
  }
  return wrong === 0 ? 0 : 1;
}
