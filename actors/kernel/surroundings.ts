/**
 * What a place finds around itself: the parts of its system, and what it hangs under. Types only; made by
 * system.ts and handed down by place.ts.
 */
import type { Child, Children } from './children.js';
import type { Executor } from './executor.js';
import type { Journal } from './journal.js';
import type { KernelEnvironment } from './types.js';

/** Shared by all places of a system. */
export interface Surroundings {
  readonly environment: KernelEnvironment;
  readonly journal: Journal;
  readonly executor: Executor;
}

/** The life, or the system, a place hangs under. */
export interface Parent {
  readonly path: string;
  readonly children: Children;
  /** The place has failed beyond its policy and hands the failure up. */
  readonly failed: (child: Child, error: Error) => void;
}
