import { DataKeys, KeyCustody, MasterKeyInvalid, masterKeysFrom, MasterKeyUnknown, readMasterKeys } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** Master keys over a real database, with the command as its own process. */
let database: FreshDatabase;
let folder: string;
let file: string;
beforeEach(async () => {
  [database, folder] = await Promise.all([freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-keys-'))]);
  file = join(folder, 'master.key');
  await writeFile(file, `${hex()}\n`);
});
afterEach(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const hex = (): string => randomBytes(32).toString('hex');
const open = (url = database.orchestratorKeysUrl, more: { believedMs?: number } = {}): Promise<DataKeys> =>
  DataKeys.open({ url, masterKeyFile: file, ...more });
const versions = async (): Promise<readonly string[]> => readMasterKeys(await readFile(file, 'utf8'), file).map(({ version }) => version);

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function keys(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const main = join(import.meta.dirname, '../../infra/local/src/keys.ts');
  const around = {
    PATH: process.env['PATH'],
    KEYS_DATABASE_URL: database.keysUrl,
    DATABASE_URL: database.url,
    MANDATE_MASTER_KEY_FILE: file,
  };
  return new Promise((done) => {
    execFile(process.execPath, [main, ...args], { env: { ...around, ...env } }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

describe('a master key', () => {
  it.each([
    ['none', {}, 'There is no master key'],
    ['a short one', { MANDATE_MASTER_KEY: 'ab'.repeat(31) }, 'must hold 64 hex digits'],
    ['something else', { MANDATE_MASTER_KEY: 'not a key' }, 'must hold 64 hex digits'],
    ['the same twice', { MANDATE_MASTER_KEY: `${'ab'.repeat(32)},${'ab'.repeat(32)}` }, 'holds a key twice'],
    ['a file that is not there', { MANDATE_MASTER_KEY_FILE: '/nowhere/master.key' }, 'cannot be read'],
    ['both', { MANDATE_MASTER_KEY: 'ab'.repeat(32), MANDATE_MASTER_KEY_FILE: '/nowhere' }, 'both set'],
  ])('is refused: %s', (_, env, words) => {
    expect(() => masterKeysFrom(env)).toThrow(MasterKeyInvalid);
    expect(() => masterKeysFrom(env)).toThrow(words);
  });

  it('is in the environment as well as in a file, and the same key has the same name in both', async () => {
    const [text = ''] = (await readFile(file, 'utf8')).split('\n');
    expect(await masterKeysFrom({ MANDATE_MASTER_KEY: text }).versions()).toEqual(await versions());
  });

  it('opens nothing that another one wrapped, nor a key that was put in the place of another', async () => {
    const [one, other] = [masterKeysFrom({ MANDATE_MASTER_KEY: hex() }), masterKeysFrom({ MANDATE_MASTER_KEY: hex() })];
    const wrapped = await one.wrap('k_1', Buffer.alloc(32, 7));
    await expect(other.unwrap('k_1', wrapped)).rejects.toThrow(MasterKeyUnknown);
    await expect(one.unwrap('k_2', wrapped)).rejects.toThrow('unable to authenticate');
    const bent = Buffer.from(wrapped.wrapped);
    bent[20] = (bent[20] ?? 0) ^ 1;
    await expect(one.unwrap('k_1', { ...wrapped, wrapped: bent })).rejects.toThrow('unable to authenticate');
  });
});

describe('a rotation', () => {
  it('goes from one master key to the next without a restart, beside services that make, read and destroy keys', async () => {
    const service = await open(undefined, { believedMs: 0 });
    const reader = await open(database.projectorKeysUrl, { believedMs: 0 });
    const made = new Map<string, Buffer>();
    const make = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) {
        const { id, key } = await service.fresh();
        made.set(id, key);
      }
    };
    await make(300);
    const [first = ''] = await versions();
    const { out } = await keys(['add']);
    const second = out.trim();
    expect(await versions()).toEqual([first, second]);
    expect((await keys(['use', second])).code).toBe(0);
    expect(await versions()).toEqual([second, first]);
    expect((await keys(['remove', first])).err).toContain('Run keys rewrap first');

    const destroyed = [...made.keys()].slice(0, 5);
    let isDone = false;
    const load = (async () => {
      while (!isDone) {
        await make(20);
        await service.destroy('wf_none', destroyed);
        const some = [...made.keys()].filter((id) => !destroyed.includes(id)).slice(-50);
        expect(await reader.get(some)).toEqual(new Map(some.map((id) => [id, made.get(id)])));
      }
    })();
    const rewrapped = await keys(['rewrap', '--batch', '20', '--json']);
    isDone = true;
    await load;
    expect(rewrapped.code).toBe(0);
    expect(JSON.parse(rewrapped.out)).toMatchObject({ current: second, unknown: 0 });

    // Whatever was stocked under the old key while it ran is wrapped by the second run, and then nothing is left.
    await keys(['rewrap']);
    expect(JSON.parse((await keys(['rewrap', '--json'])).out)).toMatchObject({ rewrapped: 0 });
    expect((await keys(['remove', first])).code).toBe(0);
    expect(await versions()).toEqual([second]);
    const kept = [...made.keys()].filter((id) => !destroyed.includes(id));
    expect(await reader.get([...kept, ...destroyed])).toEqual(new Map(kept.map((id) => [id, made.get(id)])));
    const status = await keys(['status', '--json']);
    expect(JSON.parse(status.out)).toEqual([{ version: second, keys: expect.any(Number), state: 'current' }]);
    await Promise.all([service.close(), reader.close()]);
  }, 60_000);

  it('takes keys of before there were versions along', async () => {
    const before = await open();
    const { id, key } = await before.fresh();
    const custody = KeyCustody.open(database.keysUrl);
    expect((await custody.inUse()).map(({ version }) => version)).toEqual(await versions());
    await before.close();
    await sql('update keys.data_key set master_key = null');
    const after = await open();
    expect((await after.get([id])).get(id)).toEqual(key);
    expect((await keys(['rewrap'])).code).toBe(0);
    expect((await custody.inUse()).map(({ version }) => version)).toEqual(await versions());
    await Promise.all([custody.close(), after.close()]);
  });

  it('says which key is missing, and leaves what it wraps alone', async () => {
    const service = await open();
    const { id } = await service.fresh();
    const [lost = ''] = await versions();
    await writeFile(file, `${hex()}\n`);
    const other = await open();
    await expect(other.get([id])).rejects.toThrow(lost);
    const status = await keys(['status']);
    expect([status.code, status.out]).toEqual([1, expect.stringMatching(new RegExp(`${lost} .*NOT HERE`))]);
    expect((await keys(['rewrap'])).code).toBe(1);
    expect(await service.get([id])).toEqual(new Map([[id, expect.any(Buffer)]]));
    await Promise.all([service.close(), other.close()]);
  });

  it.each([
    [['explode'], 'there is no command'],
    [['use'], 'the version is missing'],
    [['use', 'm_nobody'], 'and not m_nobody'],
    [['rewrap', '--batch', '0'], '--batch must be'],
  ])('%j is refused with what helps', async (args, words) => {
    const { code, err } = await keys(args);
    expect([code, err]).toEqual([2, expect.stringContaining(words)]);
    expect(err).not.toContain((await readFile(file, 'utf8')).trim());
  });
});

describe('a destroyed key', () => {
  it('is forgotten by who is told, and by who is not when it is asked for again', async () => {
    const [owner, told, deaf] = [
      await open(),
      await open(database.projectorKeysUrl),
      await open(database.projectorKeysUrl, { believedMs: 0 }),
    ];
    const { id } = await owner.fresh();
    await Promise.all([told.get([id]), deaf.get([id])]);
    const { keys: gone, destroyed } = await owner.destroy('wf_none', [id]);
    expect([gone, destroyed]).toEqual([[id], 1]);
    expect((await told.get([id])).size).toBe(1);
    told.forget(gone);
    expect([(await owner.get([id])).size, (await told.get([id])).size, (await deaf.get([id])).size]).toEqual([0, 0, 0]);
    await Promise.all([owner.close(), told.close(), deaf.close()]);
  });

  it('takes along whatever else belongs to its workflow, and the person goes with it', async () => {
    const owner = await open();
    const [content, parked, foreign] = [await owner.fresh(), await owner.fresh(), await owner.fresh()];
    const digest = await owner.digest('subject', 'acme', 'maria');
    expect(await owner.digest('subject', 'globex', 'maria')).not.toBe(digest);
    await owner.note(content.id, { workflow: 'wf_1', tenant: 'acme', subject: digest });
    await owner.note(parked.id, { workflow: 'wf_1', tenant: 'acme' });
    await owner.note(foreign.id, { workflow: 'wf_2', tenant: 'globex', subject: digest });
    expect(await owner.ofSubject('acme', digest)).toEqual([{ workflow: 'wf_1', key: content.id }]);
    expect(await Promise.all(['acme', 'globex'].map((tenant) => owner.subjectOf('wf_1', tenant)))).toEqual([digest, undefined]);
    expect((await owner.destroy('wf_1', [content.id])).destroyed).toBe(2);
    expect(await owner.ofSubject('acme', digest)).toEqual([]);
    expect((await owner.get([content.id, parked.id, foreign.id])).size).toBe(1);
    await owner.close();
  });

  it('can be destroyed by the orchestrator alone', async () => {
    const reader = await open(database.projectorKeysUrl);
    await expect(reader.destroy('wf_1', [])).rejects.toThrow('permission denied');
    await expect(reader.ofSubject('acme', 'x')).rejects.toThrow('permission denied');
    await reader.close();
  });
});

async function sql(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.keysUrl });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
