import { SERVICES, type ServiceName } from '@mandate/contracts';
import type { SupervisedProcess } from '@mandate/local';
import { setTimeout as wait } from 'node:timers/promises';
import { until, type World } from '../../world.ts';
import { type SmallDisk, slowDisk, whyNoSlowDisk, whyNoSmallDisk } from './disk.ts';
import type { Draw } from './draw.ts';
import type { FalseClock } from './false-clock.ts';
import { OlderCopy } from './older-copy.ts';
import type { TcpGate } from './tcp-gate.ts';

/** Where faults happen: a stack, and what a test has put around its processes. */
export interface Site {
  readonly world: World;
  /** Between a process and NATS, by the process's name. */
  readonly gates: ReadonlyMap<string, TcpGate>;
  readonly clocks: ReadonlyMap<string, FalseClock>;
  readonly disk: SmallDisk | undefined;
  /** Set when Postgres was replaced: what was lost with it. */
  older: OlderCopy | undefined;
  /** One fault at a time on each thing. */
  using(thing: string, work: () => Promise<void>): Promise<void>;
  /** Onto the seed's record. */
  note(what: string): void;
}

/** What has to be around a stack before a fault can happen in it. */
export type Need = 'gates' | 'clocks' | 'small disk' | 'fsync';

export interface PlannedFault {
  readonly kind: FaultKind;
  /** Milliseconds after the load began. */
  readonly at: number;
  readonly what: string;
  readonly carryOut: (site: Site) => Promise<void>;
}

export interface FaultKindSpec {
  readonly says: string;
  readonly needs?: readonly Need[];
  /** Why it is not possible on this machine; undefined when it is. */
  readonly impossible?: (clockLibrary: string | undefined) => string | undefined;
  plan(draw: Draw, longestMs: number): Pick<PlannedFault, 'what' | 'carryOut'>;
}

export const MOST_INSTANCES = 4;

/** A service, and which of those of it that run when the time comes. */
function victimOf(draw: Draw): { readonly service: ServiceName; readonly find: (site: Site) => SupervisedProcess } {
  const service = draw.pick(SERVICES);
  const nth = draw.int(0, MOST_INSTANCES - 1);
  return {
    service,
    find: ({ world }) => {
      const all = world.stack.services().filter(({ name }) => name.startsWith(`${service}-`));
      const found = all[nth % all.length];
      if (found === undefined) throw new Error(`no ${service} in the stack`);
      return found;
    },
  };
}

const onVictim =
  (victim: ReturnType<typeof victimOf>, work: (process: SupervisedProcess, site: Site) => Promise<void>) =>
  (site: Site): Promise<void> => {
    const process = victim.find(site);
    return site.using(process.name, () => work(process, site));
  };

/** It does not start while a server that it needs is down: then it is started when all is healed. */
async function upAgain(process: SupervisedProcess, note: Site['note']): Promise<void> {
  await process.restart().catch(() => note(`${process.name} could not start`));
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

export const FAULTS = {
  kill: {
    says: 'kill -9 of a service',
    plan: (draw) => {
      const victim = victimOf(draw);
      const downMs = draw.int(0, 3_000);
      return {
        what: `kill -9 of a ${victim.service}, up again after ${seconds(downMs)}`,
        carryOut: onVictim(victim, async (process, { note }) => {
          note(`kill -9 ${process.name}`);
          await process.kill();
          await wait(downMs);
          await upAgain(process, note);
        }),
      };
    },
  },
  stop: {
    says: 'clean stop of a service',
    plan: (draw) => {
      const victim = victimOf(draw);
      const downMs = draw.int(0, 3_000);
      return {
        what: `clean stop of a ${victim.service}, up again after ${seconds(downMs)}`,
        carryOut: onVictim(victim, async (process, { note }) => {
          note(`stop ${process.name}`);
          await process.stop();
          note(`${process.name} has stopped`);
          await wait(downMs);
          await upAgain(process, note);
        }),
      };
    },
  },
  freeze: {
    says: 'SIGSTOP of a service for 5 to 30 s, then SIGCONT',
    plan: (draw, longestMs) => {
      const victim = victimOf(draw);
      const frozenMs = Math.min(longestMs, draw.int(5_000, 30_000));
      return {
        what: `SIGSTOP of a ${victim.service} for ${seconds(frozenMs)}`,
        carryOut: onVictim(victim, async (frozen, { note }) => {
          const pid = frozen.pid();
          if (pid === 0) return;
          note(`SIGSTOP ${frozen.name}`);
          process.kill(pid, 'SIGSTOP');
          await wait(frozenMs);
          note(`SIGCONT ${frozen.name}`);
          if (frozen.pid() === pid) process.kill(pid, 'SIGCONT');
        }),
      };
    },
  },
  scale: {
    says: 'instances of a service added and taken away, 1 to 4',
    plan: (draw) => {
      const service = draw.pick(SERVICES);
      const added = draw.int(1, 2);
      const staysMs = draw.int(1_000, 6_000);
      const leaves = draw.chance(0.5);
      return {
        what: `${added} more of ${service}${leaves ? `, an older one stopped after ${seconds(staysMs)}` : ''}`,
        carryOut: async (site) => {
          const { stack } = site.world;
          const mine = (): readonly SupervisedProcess[] => stack.services().filter(({ name }) => name.startsWith(`${service}-`));
          for (let i = 0; i < added && mine().length < MOST_INSTANCES; i++) site.note(`added ${(await stack.add(service)).name}`);
          await wait(staysMs);
          const [oldest] = mine();
          if (!leaves || oldest === undefined || mine().length < 2) return;
          await site.using(oldest.name, async () => {
            site.note(`stop ${oldest.name}`);
            await oldest.stop();
          });
        },
      };
    },
  },
  'nats-kill': {
    says: 'kill -9 of NATS',
    plan: (draw) => {
      const downMs = draw.int(0, 4_000);
      return {
        what: `kill -9 of NATS, up again after ${seconds(downMs)}`,
        carryOut: (site) =>
          site.using('nats', async () => {
            site.note('kill -9 NATS');
            await site.world.stack.nats.kill();
            await wait(downMs);
            await site.world.stack.nats.restart();
            site.note('NATS is up');
          }),
      };
    },
  },
  'nats-wipe': {
    says: 'NATS killed and its storage destroyed',
    plan: () => ({
      what: 'JetStream destroyed',
      carryOut: (site) =>
        site.using('nats', async () => {
          site.note('wipe NATS');
          await site.world.stack.nats.wipe();
        }),
    }),
  },
  'postgres-kill': {
    says: 'kill -9 of every process of Postgres',
    plan: (draw) => {
      const downMs = draw.int(0, 5_000);
      return {
        what: `kill -9 of Postgres, up again after ${seconds(downMs)}`,
        carryOut: (site) =>
          site.using('postgres', async () => {
            site.note('kill -9 Postgres');
            await site.world.stack.postgres.killAll();
            await wait(downMs);
            await site.world.stack.postgres.restart();
            site.note('Postgres is up');
          }),
      };
    },
  },
  cut: {
    says: 'network partition between one service and NATS',
    needs: ['gates'],
    plan: (draw) => {
      const victim = victimOf(draw);
      const cutMs = draw.int(1_000, 12_000);
      const isReset = draw.chance(0.5);
      return {
        what: `a ${victim.service} cut off from NATS for ${seconds(cutMs)}, its connections ${isReset ? 'reset' : 'kept'}`,
        carryOut: async (site) => {
          const { name } = victim.find(site);
          const gate = site.gates.get(name);
          await site.using(`gate of ${name}`, async () => {
            site.note(`cut ${name} off from NATS`);
            gate?.cut();
            await wait(cutMs);
            if (isReset) gate?.reset();
            gate?.mend();
            site.note(`${name} reaches NATS again`);
          });
        },
      };
    },
  },
  'slow-disk': {
    says: 'a few writes per second for Postgres',
    needs: ['fsync'],
    impossible: () => whyNoSlowDisk(),
    plan: (draw) => {
      const writesPerSecond = draw.int(3, 40);
      const slowMs = draw.int(3_000, 8_000);
      return {
        what: `${writesPerSecond} writes a second for Postgres, for ${seconds(slowMs)}`,
        carryOut: (site) =>
          site.using('postgres', async () => {
            const { postgres } = site.world.stack;
            site.note('the disk of Postgres is slow');
            const heal = await slowDisk(postgres.dataFolder, postgres.pid(), writesPerSecond);
            await wait(slowMs);
            await heal();
            site.note('the disk of Postgres is fast');
          }),
      };
    },
  },
  'full-disk': {
    says: 'the disk of Postgres is full',
    needs: ['small disk'],
    impossible: () => whyNoSmallDisk(),
    plan: (draw) => {
      const fullMs = draw.int(1_000, 6_000);
      return {
        what: `no space left for Postgres, for ${seconds(fullMs)}`,
        carryOut: (site) =>
          site.using('postgres', async () => {
            site.note('the disk of Postgres is full');
            await site.disk?.fill();
            await wait(fullMs);
            await site.disk?.free();
            site.note('there is space again');
            await postgresAnswers(site.world);
          }),
      };
    },
  },
  clock: {
    says: 'the clock of one process jumps',
    needs: ['clocks'],
    impossible: (library) =>
      library === undefined ? 'libfaketime is not there (apt-get install libfaketime, or FAKETIME_LIB)' : undefined,
    plan: (draw) => {
      const victim = victimOf(draw);
      const jump = draw.int(2, 90) * (draw.chance(0.5) ? 1 : -1);
      const staysMs = draw.int(2_000, 8_000);
      return {
        what: `the clock of a ${victim.service} jumps by ${jump} s, and back after ${seconds(staysMs)}`,
        carryOut: async (site) => {
          const { name } = victim.find(site);
          await site.using(`clock of ${name}`, async () => {
            site.note(`clock of ${name}: ${jump} s`);
            site.clocks.get(name)?.set(jump);
            await wait(staysMs);
            site.clocks.get(name)?.set(0);
            site.note(`clock of ${name}: right again`);
          });
        },
      };
    },
  },
  'older-copy': {
    says: 'Postgres replaced by an older copy of its data, with a new incarnation; JetStream destroyed with it, as docs/operations.md asks',
    plan: (draw) => {
      const ageMs = draw.int(1_500, 6_000);
      return {
        what: `Postgres falls back ${seconds(ageMs)}`,
        carryOut: (site) =>
          site.using('postgres', () =>
            site.using('nats', async () => {
              site.note('Postgres is copied (it is killed for that)');
              const older = await OlderCopy.take(site.world);
              await wait(ageMs);
              await older.takePlace();
              site.older = older;
              site.note(`Postgres was replaced: ${older.lost} events are lost`);
            }),
          ),
      };
    },
  },
} as const satisfies Record<string, FaultKindSpec>;

export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as readonly FaultKind[];

async function postgresAnswers(world: World): Promise<void> {
  const answers = await until(60_000, () =>
    world
      .sql('select 1')
      .then(() => true)
      .catch(() => undefined),
  );
  if (answers === undefined) throw new Error('Postgres did not come back within 60 s after there was space');
}
