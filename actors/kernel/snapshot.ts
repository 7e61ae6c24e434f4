/**
 * What the debug endpoint shows of one place and everything below it. Costs what the number of actors costs;
 * asks each actor for its own words, and survives an actor that cannot find any.
 */
import { messageOf } from '../../protocol/errors.js';
import { toError } from './journal.js';
import type { Life } from './life.js';
import type { Statistics } from './statistics.js';
import type { ActorSnapshot, ActorState } from './types.js';

export interface Facts {
  readonly path: string;
  readonly name: string;
  readonly state: ActorState;
  readonly lives: number;
  /** Absent between lives. */
  readonly life: Life | undefined;
  readonly mailbox: ActorSnapshot['mailbox'];
  readonly statistics: Statistics;
  readonly lastStartedAt: number;
  readonly nextStartAt: number | undefined;
  readonly report: (error: Error, during: string) => void;
}

export const takeSnapshot = (facts: Facts): ActorSnapshot => {
  const { path, name, state, life, statistics, nextStartAt } = facts;
  const { lastCrash, processed, crashes, restarts, counters } = statistics;
  const busySince = life?.turn.busySince;
  return {
    path,
    name,
    state,
    phase: phaseOf(facts),
    life: facts.lives,
    mailbox: facts.mailbox,
    processed,
    crashes,
    restarts,
    ...(lastCrash !== undefined && { lastCrash }),
    ...(nextStartAt !== undefined && { nextStartAt }),
    ...(busySince !== undefined && { busySince }),
    hung: life?.turn.isHung ?? false,
    startedAt: facts.lastStartedAt,
    counters,
    details: detailsOf(facts),
    children: life?.children.snapshots() ?? [],
  };
};

const phaseOf = (facts: Facts): string => {
  const { state, life } = facts;
  if (state !== 'running') return state;
  return (
    inItsOwnWords(
      facts,
      'phase',
      () => life?.actor?.phase?.(),
      () => state,
    ) ?? state
  );
};

const detailsOf = (facts: Facts): Readonly<Record<string, unknown>> => {
  const describe = (): Record<string, unknown> | undefined => facts.life?.actor?.describe?.();
  return (
    inItsOwnWords(facts, 'describe', describe, (thrown) => ({ error: messageOf(thrown) })) ?? {}
  );
};

/** Reported once per life: the debug endpoint looks every second. */
const inItsOwnWords = <T>(
  { life, report }: Facts,
  during: string,
  speak: () => T,
  instead: (thrown: unknown) => T,
): T => {
  try {
    return speak();
  } catch (thrown) {
    if (life !== undefined && !life.isIndescribable) {
      life.isIndescribable = true;
      report(toError(thrown), during);
    }
    return instead(thrown);
  }
};
