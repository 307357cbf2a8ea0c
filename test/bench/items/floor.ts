/** What this machine's disk and Postgres give today, without any engine: one committed insert per step. */
import { password, startPostgres } from '@mandate/local';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Bench, Item } from '../bench.ts';
import type { Figure } from '../figure.ts';
import { latencyFigures, timeOneByOne } from '../latency.ts';
import { keepInFlight } from '../load.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';

const CONNECTIONS = 64;
const INSERT = { name: 'step', text: 'insert into step (body) values ($1)' };

export const floor: Item = {
  name: 'floor',
  title: 'Floor: one committed insert per step, no engine (this machine, today)',
  measure: async (bench) => {
    const postgres = await startPostgres({ dir: join(bench.folder, 'postgres'), password: password() });
    // A connection may still be closing when the server stops.
    const pool = new pg.Pool({ connectionString: postgres.url(), max: CONNECTIONS }).on('error', () => undefined);
    try {
      await pool.query('create table step (id bigint generated always as identity primary key, body bytea not null)');
      const body = randomBytes(600);
      const step = (): Promise<unknown> => pool.query({ ...INSERT, values: [body] });
      for (let i = 0; i < 500; i++) await step();
      const threeSteps = async (): Promise<void> => {
        for (let i = 0; i < 3; i++) await step();
      };
      const name = 'floor: three inserts one after the other';
      const idle = latencyFigures(name, await timeOneByOne(bench, name, threeSteps));
      const rates: Figure[] = [];
      for (const inFlight of [16, 64, 256]) rates.push(await commitRate(bench, inFlight, step));
      const { rows } = await pool.query<{ server_version: string }>('show server_version');
      return { figures: [...idle, ...rates], details: { postgres: rows[0]?.server_version } };
    } finally {
      await pool.end();
      await postgres.stop();
    }
  },
};

async function commitRate(bench: Bench, inFlight: number, step: () => Promise<unknown>): Promise<Figure> {
  const name = `floor: inserts, ${inFlight} in flight`;
  const load = keepInFlight(inFlight, step);
  const ratePerSecond = async (): Promise<number> => {
    const [ended, started] = [load.ended, performance.now()];
    await Promise.race([wait(bench.seconds * 1_000), load.failed]);
    return rounded(((load.ended - ended) * 1_000) / (performance.now() - started));
  };
  try {
    await Promise.race([wait(500), load.failed]);
    const rounds = await takeRounds(bench, name, ratePerSecond, (rate) => `${Math.round(rate)} commits/s`);
    const rates = rounds.map((round) => round.found);
    return {
      name,
      unit: 'commits/s',
      value: median(rates),
      rounds: rates,
      coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
    };
  } finally {
    await load.stop();
  }
}
