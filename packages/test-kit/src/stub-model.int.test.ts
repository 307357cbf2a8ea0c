import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { startStubModel, stubCostMicroUsd } from './stub-model.ts';

type Completion = {
  readonly choices: readonly [
    {
      readonly message: {
        readonly content: string | null;
        readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: string } }[];
      };
    },
  ];
};

async function ask(
  url: string,
  messages: readonly { readonly role: string; readonly content: string }[],
): Promise<Completion['choices'][0]['message']> {
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ model: 'stub', messages }) });
  return ((await response.json()) as Completion).choices[0].message;
}

const user = (content: string) => ({ role: 'user', content });
const assistant = { role: 'assistant', content: '' };

test('a plan in the first user message drives any number of conversations without shared state', async () => {
  const stub = await startStubModel();
  onTestFinished(() => stub.stop());
  const plan = user('Do it. [[plan: tool files__list_directory {"path":"a;b]]"}; tool a {} & tool b {"x":{"y":1}}; say all done]]');
  expect((await ask(stub.url, [plan])).tool_calls).toMatchObject([
    { function: { name: 'files__list_directory', arguments: '{"path":"a;b]]"}' } },
  ]);
  expect((await ask(stub.url, [plan, assistant])).tool_calls).toMatchObject([
    { function: { name: 'a' } },
    { function: { name: 'b', arguments: '{"x":{"y":1}}' } },
  ]);
  expect((await ask(stub.url, [plan, assistant, assistant])).content).toBe('all done');
  expect((await ask(stub.url, [plan, assistant, assistant, assistant])).content).toBe('done');
  expect((await ask(stub.url, [user('no plan')])).content).toBe('done');
});

test('a plan that cannot be read is an error and no answer', async () => {
  const stub = await startStubModel();
  onTestFinished(() => stub.stop());
  const response = await fetch(`${stub.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'stub', messages: [user('[[plan: dance]]')] }),
  });
  expect(response.status).toBe(400);
  expect(stub.bill()).toMatchObject({ requests: 1, billedRequests: 0, costMicroUsd: 0 });
});

test('queued replies come first, then the script; the bill is the sum of what was answered', async () => {
  const stub = await startStubModel();
  onTestFinished(() => stub.stop());
  const usage = { inputTokens: 10, cachedInputTokens: 5, outputTokens: 2 };
  stub.script({ status: 500 }, { text: 'queued', usage });
  stub.script(() => ({ text: 'scripted', usage }));
  expect((await fetch(`${stub.url}/v1/chat/completions`, { method: 'POST', body: '{"messages":[]}' })).status).toBe(500);
  expect((await ask(stub.url, [])).content).toBe('queued');
  expect((await ask(stub.url, [])).content).toBe('scripted');
  expect(stub.bill()).toEqual({
    requests: 3,
    billedRequests: 2,
    inputTokens: 20,
    cachedInputTokens: 10,
    outputTokens: 4,
    costMicroUsd: 2 * stubCostMicroUsd(usage),
  });
});

test('as a process it says where it is, and ends with its input', async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('stub-model-main.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { url } = JSON.parse(line.toString()) as { readonly url: string };
  expect((await ask(url, [user('[[plan: say hello]]')])).content).toBe('hello');
  child.stdin.end();
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(0);
});
