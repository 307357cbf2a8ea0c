import { createServer, type Socket } from 'node:net';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * A door between one process and a server. `cut` is a network partition: what was connected stays so and hears nothing,
 * and who connects anew is let in and hears nothing either. `reset` breaks every connection.
 */
export interface TcpGate {
  readonly port: number;
  cut(): void;
  /** What waited goes on, as after a partition that was short. */
  mend(): void;
  reset(): void;
  close(): Promise<void>;
}

/** @param target port on this machine, asked for at every connection */
export async function openGate(target: () => number): Promise<TcpGate> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  const server = createServer((outside) => {
    const inside = connect(target(), '127.0.0.1');
    const pair = [outside, inside] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [inside, outside] as const]) {
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => (isCut ? undefined : from.resume()));
      from.on('error', () => undefined);
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      if (isCut) from.pause();
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const each = (act: (socket: Socket) => void): void => {
    for (const pair of pairs) pair.forEach(act);
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
      each((socket) => socket.pause());
    },
    mend: () => {
      isCut = false;
      each((socket) => socket.resume());
    },
    reset: () => each((socket) => socket.resetAndDestroy()),
    close: async () => {
      each((socket) => socket.destroy());
      await new Promise<void>((closed) => server.close(() => closed()));
    },
  };
}
