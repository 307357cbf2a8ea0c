/** The stub model as a process of its own, for benches: `{"url":…}` on the first line, then it serves until its input ends. */
import { startStubModel } from './stub-model.ts';

const port = Number(process.env['STUB_MODEL_PORT'] ?? 0);
const stub = await startStubModel({ port, remember: false });
process.stdout.write(`${JSON.stringify({ url: stub.url })}\n`);
const stop = (): void => void stub.stop().then(() => process.exit(0));
process.stdin.on('end', stop).resume();
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
