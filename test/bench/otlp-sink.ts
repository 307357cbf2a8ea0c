import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface OtlpSink {
  readonly url: string;
  /** How many spans came in. */
  spans(): number;
  stop(): Promise<void>;
}

/** Takes what the services' exporters send (OTLP over HTTP, JSON), counts the spans and forgets them. */
export async function startOtlpSink(): Promise<OtlpSink> {
  let spans = 0;
  const server = createServer((request, response) => {
    textOf(request).then(
      (body) => {
        spans += body.split('"spanId"').length - 1;
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => spans,
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}
