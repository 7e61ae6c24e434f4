/**
 * The operators of the membership simulation: what they ask nodes to do, what they are answered, and whether the disks
 * agree with the answer at that moment. Used by simulatedMembership.ts.
 */
import { messageOf, SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { asError } from './simulatedClients.js';
import { rowName, type HistoryEntry } from './simulatedHistory.js';
import { LIVES, NODES, type LivesWatch } from './simulatedMembershipLives.js';
import { ADMIN, type MembershipNode } from './simulatedMembershipNode.js';
import type { MembershipProcess } from './simulatedMembershipProcess.js';
import type { SimulatedTime } from './simulatedTime.js';

type Kind = 'add_node' | 'update_node' | 'remove_node';
type Credentials = 'right' | 'wrong' | 'none';

export interface IssuedOperation {
  readonly id: number;
  readonly kind: Kind;
  readonly by: string;
  readonly about: string;
  readonly at: number;
  readonly process: MembershipProcess | null;
  /** `alone`: done, and the other end could not be told. */
  state: 'pending' | 'done' | 'alone' | 'refused' | 'failed' | 'unknown';
  answeredAt: number;
}

export class MembershipOperations {
  readonly issued: IssuedOperation[] = [];
  readonly #time: SimulatedTime;
  readonly #watchOf: (name: string) => LivesWatch;

  constructor(time: SimulatedTime, watchOf: (name: string) => LivesWatch) {
    this.#time = time;
    this.#watchOf = watchOf;
  }

  issue(kind: Kind, by: MembershipNode, about: MembershipNode): void {
    const operation: IssuedOperation = {
      id: this.issued.length + 1,
      kind,
      by: by.name,
      about: about.name,
      at: this.#time.now,
      process: by.process,
      state: 'pending',
      answeredAt: Number.POSITIVE_INFINITY,
    };
    this.issued.push(operation);
    const generation = this.#watchOf(by.name).known.get(about.name)?.generation ?? 1;
    const body = kind === 'remove_node' ? { hostname: about.name } : this.#addBody(about);
    this.#note(operation, JSON.stringify(body));
    by.operate({ operation: kind, ...body })
      .then(
        (answer) => this.#onDone(operation, answer, generation),
        (error: unknown) => this.#onFailed(operation, error),
      )
      .catch((error: unknown) => this.#time.fail(asError(error)));
  }

  get areUnderWay(): boolean {
    return this.issued.some(({ state, process }) => state === 'pending' && process?.isAlive);
  }

  /** An operation that may still write about this node: by it or about it. */
  isBusy(name: string): boolean {
    return this.issued.some(
      (one) => (one.by === name || one.about === name) && this.#mayStillWrite(one),
    );
  }

  /** Whether the next life of this node may begin now. */
  mayAdd(name: string): boolean {
    return this.issued.some(
      (one) =>
        one.kind !== 'remove_node' &&
        (one.by === name || one.about === name) &&
        this.#mayStillWrite(one),
    );
  }

  /** Whether anybody ever asked for its end. */
  mayEnd(name: string): boolean {
    return this.issued.some(({ kind, about }) => kind === 'remove_node' && about === name);
  }

  /** An add by or about this node that has not told both ends. */
  isHalfDone(name: string): boolean {
    return this.issued.some(
      ({ kind, state, by, about }) =>
        kind !== 'remove_node' &&
        state !== 'refused' &&
        state !== 'done' &&
        (by === name || about === name),
    );
  }

  /** The end that was asked may go on for its time, unless its answer has come. */
  #mayStillWrite({ state, at, answeredAt, process }: IssuedOperation): boolean {
    if (state === 'pending' && process?.isAlive) return true;
    if (state === 'done' || state === 'refused') return false;
    const from = Math.min(answeredAt, at + 2 * limits.peerOperationMsMax);
    return this.#time.now <= from + 2 * limits.peerOperationMsMax;
  }

  #addBody(about: MembershipNode): Record<string, unknown> {
    const { random } = this.#time;
    const credentials: Credentials = random.chance(0.8)
      ? 'right'
      : random.pick(['wrong', 'none'] as const);
    const { username, password } = ADMIN;
    return {
      hostname: about.name,
      url: about.url,
      ...(credentials === 'right' && { authorization: { username, password } }),
      ...(credentials === 'wrong' && { authorization: { username, password: 'guessed' } }),
    };
  }

  #onDone(operation: IssuedOperation, answer: unknown, generation: number): void {
    const text = String((answer as { message?: unknown }).message);
    this.#settle(operation, text.includes('but there was an error') ? 'alone' : 'done', text);
    const { kind, by, about } = operation;
    if (text.includes(REFUSED)) throw new Error(`${by} did what ${about} refused: ${text}`);
    const watch = this.#watchOf(by);
    if (kind === 'remove_node') {
      if (!watch.knowsEnd(about, generation))
        throw new Error(
          `${by} was answered that ${about} is removed, and its disk says ${watch.latest}`,
        );
      return;
    }
    for (const name of [by, about]) {
      const life = watch.known.get(name);
      const isMember = life && (!life.ended || life.since >= operation.at);
      if (!isMember)
        throw new Error(
          `${by} was answered that ${about} is added, and its disk says ${watch.latest}`,
        );
    }
  }

  #onFailed(operation: IssuedOperation, error: unknown): void {
    if (!(error instanceof SkeinError)) throw error;
    const { code } = error;
    const isUnknown = UNKNOWN.has(code);
    const isRefused = code === 'PEER_REFUSED' || code === 'INVALID_REQUEST';
    this.#settle(
      operation,
      isUnknown ? 'unknown' : isRefused ? 'refused' : 'failed',
      messageOf(error),
    );
    if (operation.state === 'failed' && code !== 'PEER_UNREACHABLE') throw error;
    if (operation.state !== 'unknown') this.#checkUnchanged(operation);
  }

  /** Nothing was written at either end about the other. Who was not reached in the end may have written. */
  #checkUnchanged(operation: IssuedOperation): void {
    const { by, about, at } = operation;
    const overlaps = this.issued.some(
      (one) =>
        one !== operation &&
        [one.by, one.about].some((name) => name === by || name === about) &&
        (one.answeredAt >= at || one.state === 'pending'),
    );
    if (overlaps) return;
    const ends = [[by, about], ...(operation.state === 'refused' ? [[about, by]] : [])] as const;
    for (const [one = '', other = ''] of ends)
      for (const { at: when, entry } of this.#watchOf(one).written)
        if (when >= at && adds(entry, other))
          throw new Error(`${one} wrote about ${other} for an operation that was refused`);
  }

  #settle(operation: IssuedOperation, state: IssuedOperation['state'], text: string): void {
    operation.state = state;
    operation.answeredAt = this.#time.now;
    this.#note(operation, text);
  }

  #note({ id, kind, by, about, state }: IssuedOperation, text: string): void {
    this.#time.note(`operation ${id} ${state}`, () => `${kind} ${about} at ${by}: ${text}`);
  }
}

/** Of `Must login` and `Login failed`. */
const REFUSED = 'ogin';

/** Whether an entry makes a member, or something new, of that node. */
const adds = (entry: HistoryEntry, name: string): boolean =>
  entry.changes.some(({ row, effect }) => {
    if (effect.type === 'delete') return false;
    if (row === rowName(NODES, encodeKey(name))) return true;
    const { name: of, ended } = effect.values;
    return row.startsWith(`${LIVES} `) && of === name && ended !== true;
  });

/** The other end may have written, though this one could not. */
const UNKNOWN: ReadonlySet<string> = new Set([
  'OUTCOME_UNKNOWN',
  'UNAVAILABLE',
  'TIMEOUT',
  'STORAGE_FAILED',
]);
