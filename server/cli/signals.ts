/**
 * Turns SIGTERM, SIGINT and, for nodes of `skein dev`, the end of the parent into one wish to stop.
 * Called by start.ts and dev.ts.
 */

export interface StopWish {
  /** Resolves at the first signal, with its name. */
  readonly asked: Promise<string>;
  /** From here on signals do what they do by default. */
  release(): void;
}

/** `again` is called at the second signal: somebody does not want to wait. */
export const awaitStop = (options: { again: () => void; withParent?: boolean }): StopWish => {
  let signals = 0;
  let resolve: (signal: string) => void = () => undefined;
  const asked = new Promise<string>((settle) => {
    resolve = settle;
  });
  const onSignal = (signal: string): void => {
    signals++;
    if (signals === 1) {
      resolve(signal);
    } else {
      options.again();
    }
  };
  const onDisconnect = (): void => resolve('end of the parent');
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  if (options.withParent === true) {
    process.on('disconnect', onDisconnect);
  }
  return {
    asked,
    release: () => {
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal).off('disconnect', onDisconnect);
    },
  };
};
