import { parseInbox, subjects, workflowIdFor } from '@mandate/contracts';
import { partitionOf, partitionOfRequest, PARTITIONS } from '@mandate/domain';
import { Bus } from '@mandate/messaging';
import { type FreshNats, freshNats } from '@mandate/test-kit';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** What comes from outside is mapped into the inbox by nats-server, what comes through the gateway by us: both must agree for ever. */
let nats: FreshNats;
let admin: Bus;
const tenants = ['acme', 'globex', 't', 'a-tenant-with-a-long-name-of-32-c'];

beforeAll(async () => {
  nats = await freshNats({ tenants });
  admin = await Bus.connect({ servers: nats.url, user: 'admin', password: nats.password('admin'), name: 'admin', apiPrefix: '$JS.API' });
});
afterAll(async () => {
  await admin.close();
  await nats.stop();
});

async function storedSubject(sequence: number): Promise<string> {
  const { message } = (await admin.ask('$JS.API.STREAM.MSG.GET.IN', JSON.stringify({ seq: sequence }))) as { message: { subject: string } };
  return message.subject;
}

const token = fc.string({ unit: fc.constantFrom(...'ABCXYZabcxyz0189_-'), minLength: 1, maxLength: 64 });
const requests = [...fc.sample(token, 150), '-', '_', 'A'.repeat(64)];

test.each(tenants)('nats-server maps every request of %s to the partition that its workflow has', async (tenant) => {
  const bus = await Bus.connect({
    servers: nats.url,
    user: `tenant-${tenant}`,
    password: nats.password(`tenant-${tenant}`),
    name: 'client',
  });
  const seen = new Set<number>();
  for (const request of requests) {
    const { sequence } = await bus.publish(subjects.task(tenant, request), '{}');
    const subject = await storedSubject(sequence);
    const partition = partitionOfRequest(tenant, request);
    expect(subject).toBe(`in.${partition}.task.${tenant}.${request}`);
    expect(parseInbox(subject)).toEqual({ partition, source: 'task', tenant, request });
    expect(partitionOf(workflowIdFor(tenant, request))).toBe(partition);
    seen.add(partition);
  }
  expect(seen.size).toBeGreaterThan(PARTITIONS / 2);
  await bus.close();
});
