import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface Health {
  readonly ok: boolean;
  /** What is missing, by name. */
  readonly missing: readonly string[];
}

/** `/livez`, `/readyz` and `/metrics` on a port of their own. */
export async function serveHealth(options: {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  readonly ready: () => Health;
}): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/livez') return void response.end('ok\n');
    if (path === '/readyz') {
      const health = options.ready();
      response.writeHead(health.ok ? 200 : 503, { 'content-type': 'application/json' });
      return void response.end(`${JSON.stringify(health)}\n`);
    }
    if (path === '/metrics') {
      options.registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': options.registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
      return undefined;
    }
    return void response.writeHead(404).end('try /livez, /readyz or /metrics\n');
  });
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(options.port, options.host, listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}`,
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
