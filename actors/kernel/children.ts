/**
 * The places under one life, or at the top of the system, in the order of their start. Knows names and
 * order; decides nothing about failures. Used by life.ts, place.ts and system.ts.
 */
import { limits } from '../../protocol/limits.js';
import type { Addressee } from './references.js';
import type { ActorSnapshot } from './types.js';

/** A place as those above it see it. */
export interface Child extends Addressee {
  readonly name: string;
  /** Of its present life; absent between lives. */
  readonly children: Children | undefined;
  readonly snapshot: () => ActorSnapshot;
  /** Crashes the present life, after its running handler. False when there is none to crash. */
  readonly crash: (error: Error, during: string) => boolean;
}

export class Children {
  readonly #live = new Map<string, Child>();
  /** Kept to be looked at, in the tree; as many as dead letters, which serve the same purpose. */
  readonly #failed = new Map<string, Child>();

  /** Names of the live ones. */
  get names(): readonly string[] {
    return [...this.#live.keys()];
  }

  get(name: string): Child | undefined {
    return this.#live.get(name);
  }

  has(child: Addressee): boolean {
    return this.#live.get(child.path.slice(child.path.lastIndexOf('/') + 1)) === child;
  }

  /** Throws when the name is unusable in a path, or a live child has it. */
  checkName(name: string): void {
    if (name === '' || name.includes('/')) {
      throw new Error(`"${name}" is no name for an actor: it is empty or contains "/"`);
    }
    if (this.#live.has(name)) throw new Error(`an actor named ${name} is running already`);
  }

  /** Takes the place of a failed child of that name. */
  add(child: Child): void {
    this.#failed.delete(child.name);
    this.#live.set(child.name, child);
  }

  /** `keep`: it failed, and the tree shows it until its name is used again. */
  ended(child: Child, keep: boolean): void {
    if (this.#live.get(child.name) === child) this.#live.delete(child.name);
    if (!keep) return;
    this.#failed.set(child.name, child);
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > limits.deadLettersKept && oldest !== undefined) {
      this.#failed.delete(oldest);
    }
  }

  /** A failed child that was stopped is no longer shown. */
  forget(child: Child): void {
    if (this.#failed.get(child.name) === child) this.#failed.delete(child.name);
  }

  /** One after the other, the last started first; each stops all below it before itself. */
  async stopAll(): Promise<void> {
    for (const child of [...this.#live.values()].reverse()) await child.stop();
  }

  snapshots(): readonly ActorSnapshot[] {
    return [...this.#live.values(), ...this.#failed.values()].map((child) => child.snapshot());
  }
}
