/** A closed loop: so many tasks in flight at any moment, each replaced as soon as it ends. */
export interface Load {
  /** Tasks that ended so far. */
  readonly ended: number;
  /** Starts nothing more and waits for those in flight. @throws the first failure of any task */
  stop(): Promise<void>;
  /** Rejects as soon as any task fails; never resolves before `stop`. */
  readonly failed: Promise<never>;
}

export function keepInFlight(count: number, runOne: () => Promise<unknown>): Load {
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined);
  let ended = 0;
  let isWanted = true;
  const lane = async (): Promise<void> => {
    while (isWanted) {
      await runOne();
      ended += 1;
    }
  };
  const lanes = Array.from({ length: count }, lane);
  for (const each of lanes) {
    each.catch((error: Error) => {
      isWanted = false;
      failure.reject(error);
    });
  }
  return {
    get ended() {
      return ended;
    },
    failed: failure.promise,
    stop: async () => {
      isWanted = false;
      await Promise.all(lanes);
    },
  };
}
