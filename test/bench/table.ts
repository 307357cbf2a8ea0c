/** `node test/bench/table.ts <results.json>…`: measured figures beside the design's, as the README's markdown. Later files win. */
import { formatTarget, formatValue, holds, type Figure } from './figure.ts';
import { type ItemResults, readResults, type Results } from './results.ts';

/** Measured on the same machine by themselves, every step durable before the next; their steps run in one process, ours cross services. */
const PEERS: readonly (readonly [string, string, string, string])[] = [
  ['Restate 1.7.12', '8.6 / 20.2', '854 / 1,144 / 1,414', '1.6'],
  ['DBOS 5.3.0', '7.6 / 17.9', '577 / 617 / 612', '2.9'],
  ['LangGraph.js 1.4.18 (sync)', '11.3 / 27', '331 / 337 / 356', '4.6'],
  ['Mastra 1.71.0', '5.9 / 13.4', '945 / 976 / 1,004', '1.7'],
  ['BullMQ 6.7.0 (fsync always; no workflow state)', '4.8 / 12.5', '1,372 / 1,594 / 1,853', '0.9'],
];

/** The whole page: host, figures per item, and W1 beside its peers when it was measured. */
export function markdown(results: Results): string {
  const { host, load, settings } = results;
  const facts = `${results.startedAt.slice(0, 10)}, commit \`${host.commit}\`${host.isDirty ? ' with changes' : ''}; ${host.cores} cores (${host.cpu}), ${host.memoryGb} GB, ${host.system}; Node ${host.node}, ${host.nats}, Postgres ${host.postgres}, fsync on. Median of ${settings.rounds} rounds of ${settings.seconds} s. Load average before / after: ${load.before[0]} / ${load.after[0]}; "others": cores that others used meanwhile.`;
  return [facts, ...results.items.flatMap(itemTable), ...peers(results)].join('\n');
}

function itemTable(item: ItemResults): readonly string[] {
  const rows = item.figures.map(
    (figure) =>
      `| ${figure.name} | ${formatValue(figure.value, figure.unit)}${spread(figure)} | ${formatTarget(figure.target, figure.unit)} | ${verdict(figure)} | ${others(figure)} |`,
  );
  if (item.failure !== undefined) return ['', `**${item.title}**`, '', `Not measured: ${item.failure.split('\n')[0]}`];
  return ['', `**${item.title}**`, '', '| figure | measured | asked | | others |', '|---|---|---|---|---|', ...rows];
}

function spread({ rounds, unit }: Figure): string {
  if (rounds === undefined || rounds.length < 2) return '';
  return ` (${formatValue(Math.min(...rounds), unit).replace(` ${unit}`, '')} to ${formatValue(Math.max(...rounds), unit).replace(` ${unit}`, '')})`;
}

/** Cores that others used meanwhile, when it was enough to matter. */
const others = ({ coresOfOthers = 0 }: Figure): string => (coresOfOthers > 0.1 ? `${coresOfOthers} cores` : '');

function verdict(figure: Figure): string {
  const found = holds(figure);
  return found === undefined ? '' : found ? 'holds' : 'does not hold';
}

function peers({ items }: Results): readonly string[] {
  const figures = items.find((item) => item.name === 'w1')?.figures ?? [];
  const value = (name: string): string => {
    const found = figures.find((figure) => figure.name === name);
    return found === undefined ? '–' : (formatValue(found.value, found.unit).split(' ')[0] ?? '–');
  };
  if (figures.length === 0) return [];
  const rates = [16, 64, 256].map((count) => value(`W1, ${count} in flight`)).join(' / ');
  const cpu = figures.find((figure) => figure.name === 'W1, 64 in flight, CPU per step')?.value ?? 0;
  const disturbance = Math.max(...figures.map(({ coresOfOthers = 0 }) => coresOfOthers));
  const ours = [
    `Mandate (this run${disturbance > 0.1 ? `, while others used up to ${disturbance} cores` : ''})`,
    `${value('W1, submit to result, idle, p50')} / ${value('W1, submit to result, idle, p99')}`,
    rates,
    (cpu / 1_000).toFixed(2),
  ];
  return [
    '',
    '**W1 beside its peers** (theirs measured earlier, alone on the same kind of machine)',
    '',
    '| | W1 idle p50 / p99 ms | W1 steps/s at 16 / 64 / 256 | CPU ms per step at 64 |',
    '|---|---|---|---|',
    ...[ours, ...PEERS].map((row) => `| ${row.join(' | ')} |`),
  ];
}

if (import.meta.main) {
  const files = await Promise.all(process.argv.slice(2).map((file) => readResults(file)));
  const last = files.at(-1);
  if (last === undefined) throw new Error('usage: node test/bench/table.ts <results.json>…');
  const items = new Map(files.flatMap((file) => file.items.map((item) => [item.name, item] as const)));
  console.log(markdown({ ...last, items: [...items.values()] }));
}
