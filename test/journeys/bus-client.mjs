// Gives Mandate a task and waits for its end with nothing but a NATS client (docs/bus.md): node bus-client.mjs "<task>" [<request>]
import { readFileSync } from 'node:fs';
import { connect, JSONCodec } from 'nats';

const [task = 'How many files are there under docs/?', request = crypto.randomUUID()] = process.argv.slice(2);
const { MANDATE_HOME = '.mandate', NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password } = process.env;
const bus = url ? { url, user, password } : JSON.parse(readFileSync(`${MANDATE_HOME}/run.json`, 'utf8')).nats;
const subject = `${bus.user.replace('tenant-', '')}.${request}`;
const nc = await connect({ servers: bus.url, user: bus.user, pass: bus.password, maxReconnectAttempts: -1 });
const json = JSONCodec();

const told = nc.subscribe(`out.${subject}`); // first listen, then ask
const ask = async () => {
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: '/my-service', type: 'mandate.task.submit.v1', data: { task } };
  const stored = await nc.request(`task.${subject}`, json.encode(event), { timeout: 4_000 }).then(({ data }) => json.decode(data), String);
  if (!stored.seq) process.stderr.write(`not asked yet: ${JSON.stringify(stored)}\n`);
};
await ask();
const again = setInterval(ask, 5_000); // the same request is the same task, however often it is asked for

for await (const message of told) {
  const { type, data } = json.decode(message.data);
  process.stdout.write(`${JSON.stringify(data)}\n`);
  process.exitCode = data.status === 'completed' ? 0 : 1;
  if (type === 'mandate.task.result.v1' || !data.accepted) break;
}
clearInterval(again);
await nc.close();
