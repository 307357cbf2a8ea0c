/**
 * A server over stdio that speaks MCP by hand and prints what is no JSON-RPC before, between and inside its answers.
 * With the argument `only` it prints nothing else, for ever.
 */
import { createInterface } from 'node:readline';

const noise = ['Starting up…', '{"not":"json-rpc"}', '{broken', '\u0000\u0001\ufffd', '[1,2,3]'];
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const makeNoise = (): void => noise.forEach(print);

if (process.argv.includes('only')) setInterval(makeNoise, 5);
makeNoise();

const schema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };
const answers: Readonly<Record<string, (params: { readonly arguments?: { readonly text?: string } }) => unknown>> = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'garbage', version: '1.0.0' } }),
  'tools/list': () => ({ tools: [{ name: 'echo', description: 'Says it again.', inputSchema: schema }] }),
  'tools/call': (params) => ({ content: [{ type: 'text', text: params.arguments?.text ?? '' }] }),
};

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = JSON.parse(line) as { readonly id?: number; readonly method: string; readonly params: object };
    makeNoise();
    const answer = answers[request.method];
    if (request.id !== undefined && answer !== undefined && !process.argv.includes('only'))
      print(JSON.stringify({ jsonrpc: '2.0', id: request.id, result: answer(request.params) }));
    makeNoise();
  })
  .on('close', () => process.exit(0));
