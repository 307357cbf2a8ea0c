/** `npm run audit -- …`: proofs about the log, and what it says of any moment. See docs/audit.md. */
import { type EventFilter, makeSigningKey, ProofRefused } from '@mandate/audit';
import { ACCOUNT_EVENT_SCHEMAS, EVENT_SCHEMAS } from '@mandate/contracts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { declarationsIn, declaredFiles } from './divergences.ts';
import { exportCapsule, exportEvents, newestCheckpoint, proveEvent, readCapsule, readExtract } from './export.ts';
import { type History, historyOf, Unreadable } from './history.ts';
import { onLog } from './log.ts';
import { describeReplay, describeReplayed, replayed, replayLog } from './replay.ts';
import { describeShadow, shadow } from './shadow.ts';
import { describeDiff, diffOf, instantIn, momentIn, stateAt } from './state.ts';
import { describeReport, verifyLog } from './verify.ts';
import { CannotCheck, databaseUrl, givenKey, logKey, readText } from './where.ts';
import { witnessCheckpoint } from './witness.ts';

const help = `audit verify [--key K] [--checkpoint F]…     check the whole log; names the first event that is not right
audit verify capsule <file> [--key K]       check a run capsule, with nothing but the file
audit export <workflow> [--out F] [--to N]  write the run capsule of a workflow (of its events up to version N)
audit events [--workflow W] [--tenant T] [--type T]… [--since T] [--until T] [--out F]
                                            write the events that match, in the order of the log, with their proof
audit verify events <file> [--key K]        check such a file, with nothing but the file
audit prove <event> [--out F]               write the inclusion proof of an event, and its bytes to F.json
audit checkpoint <partition> [--since N]    print the newest checkpoint, with the proof that it continues the tree of N events
audit witness --log-key K --key F --state F --checkpoint F
                                            co-sign a checkpoint if it continues what this witness saw before
audit key <name> --out F [--for witness]    make a signing key: F, and its public key F.pub
audit replay <workflow | file>              decide a history again with this code; names the first event that diverges
audit replay --all | --last N               the same for every stream of the log, or for the N that were written last
audit state <workflow | file> [--at-version N | --at T]
                                            the workflow's state after an event, or at an instant (2026-11-21T14:00:00Z)
audit diff <workflow | file> --from A --to B
                                            what of its state changed between two versions or instants
audit shadow --last N [--declared F]…       decide the last N streams again; fails for every divergence that no file declares

  --key K           public key of the log, as text or as a file; for witness: the witness's own signing key, a file
  --checkpoint F    verify: a checkpoint that you hold (may be repeated); witness: what "audit checkpoint" printed; - is standard input
  --declared F      shadow: declared divergences (may be repeated); without it, all of docs/divergences
  --json            verify, replay, shadow, diff: print the report as JSON
  <file>            a run capsule, or a JSON list of stored events (test/histories/runs)

The log is the database that DATABASE_URL names (role mandate_projector, or a superuser), else the stack that runs here
(npm start), whose public key is found too. Nothing is ever written to it.

Ends with 0 when all is right, 1 when something is not (altered, forked, refused), 2 when it could not be checked.
`;

const options = {
  key: { type: 'string' },
  'log-key': { type: 'string' },
  checkpoint: { type: 'string', multiple: true },
  state: { type: 'string' },
  out: { type: 'string' },
  to: { type: 'string' },
  since: { type: 'string' },
  for: { type: 'string' },
  all: { type: 'boolean' },
  last: { type: 'string' },
  at: { type: 'string' },
  'at-version': { type: 'string' },
  from: { type: 'string' },
  declared: { type: 'string', multiple: true },
  workflow: { type: 'string' },
  tenant: { type: 'string' },
  type: { type: 'string', multiple: true },
  until: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

const KEY_OF_THE_FILE = 'The key is the one in the file. Compare it with what you were told the key of the log is, or give it as --key.\n';
const TYPES_OF_EVENTS: ReadonlySet<string> = new Set([...Object.keys(EVENT_SCHEMAS), ...Object.keys(ACCOUNT_EVENT_SCHEMAS)]);
/** Where the divergences that are meant are declared. */
const DIVERGENCES = join(import.meta.dirname, '../../../docs/divergences');

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    if (values.help === true || positionals.length === 0) {
      process.stdout.write(help);
      return values.help === true ? 0 : 2;
    }
    return await run(positionals, values);
  } catch (error) {
    process.stderr.write(`audit: ${messageOf(error)}\n`);
    return (error instanceof ProofRefused && error.code !== 'KeyMalformed') || error instanceof Unreadable ? 1 : 2;
  }
}

function run([command = '', ...operands]: readonly string[], values: Values): Promise<number> {
  switch (command) {
    case 'verify':
      if (operands[0] === 'capsule') return verifyFile(operand(operands, 1, 'the capsule'), values);
      return operands[0] === 'events' ? verifyEvents(operand(operands, 1, 'the file'), values) : verify(values);
    case 'export':
      return exportTo(operand(operands, 0, 'the workflow'), values);
    case 'events':
      return exportMatching(values);
    case 'prove':
      return prove(operand(operands, 0, 'the event'), values);
    case 'checkpoint':
      return checkpoint(operand(operands, 0, 'the partition'), values);
    case 'witness':
      return cosign(values);
    case 'key':
      return makeKey(operand(operands, 0, 'the name'), values);
    case 'replay':
      return replay(operands, values);
    case 'state':
      return state(operand(operands, 0, 'the workflow'), values);
    case 'diff':
      return diff(operand(operands, 0, 'the workflow'), values);
    case 'shadow':
      return shadowLast(values);
    default:
      throw new CannotCheck(`there is no command "${command}". See audit --help.`);
  }
}

async function verify(values: Values): Promise<number> {
  const key = await logKey(values.key, process.env);
  const held = await Promise.all((values.checkpoint ?? []).map(async (file) => noteIn(await readText(file))));
  const report = await verifyLog(await databaseUrl(process.env), key, held);
  process.stdout.write(values.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : describeReport(report));
  return report.findings.length === 0 ? 0 : 1;
}

/** Of a witness's request, the checkpoint alone. */
function noteIn(text: string): string {
  return text.startsWith('old ') ? text.slice(text.indexOf('\n\n') + 2) : text;
}

async function verifyFile(file: string, values: Values): Promise<number> {
  const trusted = values.key === undefined ? undefined : await givenKey(values.key);
  const { stream, events, origin, size, key, isKeyTrusted, finding } = await readCapsule(file, trusted);
  if (finding !== undefined) {
    process.stdout.write(`FAILED: ${finding.event === undefined ? '' : `${finding.event}: `}${finding.detail}\n`);
    return 1;
  }
  process.stdout.write(`OK: events 1 to ${events} of ${stream} are in ${origin}, in its tree of ${size} events, signed by ${key}\n`);
  if (!isKeyTrusted) process.stdout.write(KEY_OF_THE_FILE);
  return 0;
}

async function exportTo(stream: string, values: Values): Promise<number> {
  const file = values.out ?? `${stream}.capsule.ndjson`;
  const to = values.to === undefined ? {} : { to: wholeNumber(values.to, '--to') };
  const { events, finding } = await exportCapsule(await databaseUrl(process.env), await logKey(values.key, process.env), {
    stream,
    ...to,
    file,
  });
  if (finding === undefined) process.stdout.write(`${file}: ${events} events, verified\n`);
  else process.stdout.write(`FAILED, nothing was written: ${finding.event ?? stream}: ${finding.detail}\n`);
  return finding === undefined ? 0 : 1;
}

async function exportMatching(values: Values): Promise<number> {
  const file = values.out ?? 'events.ndjson';
  const unknown = values.type?.find((type) => !TYPES_OF_EVENTS.has(type));
  if (unknown !== undefined) throw new CannotCheck(`there is no type of event "${unknown}"; docs/schemas has them all`);
  const { workflow, tenant, type: types } = values;
  const [since, until] = [instantOf(values.since, '--since'), instantOf(values.until, '--until')];
  const filter: EventFilter = {
    ...(workflow === undefined ? {} : { workflow }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(types === undefined ? {} : { types }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
  const report = await exportEvents(await databaseUrl(process.env), await logKey(values.key, process.env), filter, file);
  if (report.finding === undefined) process.stdout.write(`${file}: ${report.events} events of ${report.partitions} partitions, verified\n`);
  else process.stdout.write(`FAILED, nothing was written: ${report.finding.event ?? file}: ${report.finding.detail}\n`);
  return report.finding === undefined ? 0 : 1;
}

async function verifyEvents(file: string, values: Values): Promise<number> {
  const trusted = values.key === undefined ? undefined : await givenKey(values.key);
  const { log, filter, events, partitions, key, isKeyTrusted, finding } = await readExtract(file, trusted);
  if (finding !== undefined) {
    process.stdout.write(`FAILED: ${finding.event === undefined ? '' : `${finding.event}: `}${finding.detail}\n`);
    return 1;
  }
  process.stdout.write(
    `OK: ${events} events of ${partitions} partitions, all for ${JSON.stringify(filter)}, are in the log ${log} as they are written here, signed by ${key}\n`,
  );
  if (!isKeyTrusted) process.stdout.write(KEY_OF_THE_FILE);
  return 0;
}

function instantOf(text: string | undefined, what: string): number | undefined {
  return text === undefined ? undefined : instantIn(text, what);
}

async function prove(event: string, values: Values): Promise<number> {
  const file = values.out ?? `${event}.tlog-proof`;
  const { proof, envelope } = await proveEvent(await databaseUrl(process.env), await logKey(values.key, process.env), event);
  await writeFile(file, proof);
  await writeFile(`${file}.json`, envelope);
  process.stdout.write(`${file}: proves the exact bytes of ${file}.json\n`);
  return 0;
}

async function checkpoint(partition: string, values: Values): Promise<number> {
  const [p, since] = [wholeNumber(partition, 'the partition'), wholeNumber(values.since ?? '0', '--since')];
  process.stdout.write(await newestCheckpoint(await databaseUrl(process.env), await logKey(values.key, process.env), p, since));
  return 0;
}

async function cosign(values: Values): Promise<number> {
  const [file] = values.checkpoint ?? [];
  if (file === undefined) throw new CannotCheck('--checkpoint is missing: the file that "audit checkpoint" made. See audit --help.');
  const note = await witnessCheckpoint({
    request: await readText(file),
    logKey: await givenKey(option(values, 'log-key')),
    ownKeyFile: option(values, 'key'),
    stateFile: option(values, 'state'),
    time: Math.floor(Date.now() / 1_000),
  });
  if (values.out === undefined) process.stdout.write(note);
  else await writeFile(values.out, note);
  return 0;
}

async function makeKey(name: string, values: Values): Promise<number> {
  const file = option(values, 'out');
  const signs = values.for ?? 'log';
  if (signs !== 'log' && signs !== 'witness') throw new CannotCheck('--for is log or witness');
  const key = makeSigningKey(name, signs);
  await writeFile(file, `${key.text}\n`, { mode: 0o600, flag: 'wx' });
  await writeFile(`${file}.pub`, `${key.verifier.text}\n`);
  process.stdout.write(`${file}: keep it secret\n${file}.pub: ${key.verifier.text}\n`);
  return 0;
}

async function replay(operands: readonly string[], values: Values): Promise<number> {
  if (values.all === true || values.last !== undefined) {
    const last = values.all === true ? undefined : wholeNumber(values.last ?? '', '--last');
    const report = await onLog(await databaseUrl(process.env), (store) => replayLog(store, last));
    print(values, report, describeReplay(report));
    return report.findings.length === 0 ? 0 : 1;
  }
  const one = replayed(await history(operand(operands, 0, 'the workflow, a file, --all or --last'), values));
  print(values, one, `${describeReplayed(one)}\n`);
  return one.result === 'identical' ? 0 : 1;
}

async function state(of: string, values: Values): Promise<number> {
  const [version, at] = [values['at-version'], values.at];
  if (version !== undefined && at !== undefined) throw new CannotCheck('give --at-version or --at, not both');
  const moment =
    version === undefined ? (at === undefined ? undefined : momentIn(at, '--at')) : { version: wholeNumber(version, '--at-version') };
  process.stdout.write(`${JSON.stringify(stateAt(await history(of, values), moment), undefined, 2)}\n`);
  return 0;
}

async function diff(of: string, values: Values): Promise<number> {
  const [from, to] = [momentIn(option(values, 'from'), '--from'), momentIn(option(values, 'to'), '--to')];
  const report = diffOf(await history(of, values), from, to);
  print(values, report, describeDiff(report));
  return 0;
}

async function shadowLast(values: Values): Promise<number> {
  const last = wholeNumber(option(values, 'last'), '--last');
  const declarations = await declarationsIn(values.declared ?? (await declaredFiles(DIVERGENCES)));
  const report = await shadow(await databaseUrl(process.env), { last, declarations });
  print(values, report, describeShadow(report));
  return report.isRight ? 0 : 1;
}

async function history(of: string, values: Values): Promise<History> {
  return historyOf(of, () => databaseUrl(process.env), values.key === undefined ? undefined : await givenKey(values.key));
}

function print(values: Values, report: object, text: string): void {
  process.stdout.write(values.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : text);
}

function operand(operands: readonly string[], index: number, what: string): string {
  const found = operands[index];
  if (found === undefined) throw new CannotCheck(`${what} is missing. See audit --help.`);
  return found;
}

function option(values: Values, name: 'key' | 'log-key' | 'state' | 'out' | 'from' | 'to' | 'last'): string {
  const found = values[name];
  if (found === undefined) throw new CannotCheck(`--${name} is missing. See audit --help.`);
  return found;
}

function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CannotCheck(`${what} must be a whole number, not "${text}"`);
  return Number(text);
}

/** A refused connection has its reasons in a list, one per address, and no message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof AggregateError ? ` (${messageOf(error.cause)})` : '';
  return message + cause;
}
