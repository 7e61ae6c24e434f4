/**
 * When and where the link to one peer is dialled: one dial at a time, the peer's URLs in turn, longer and longer waits.
 * Used by peerConnection only, which says when there is a link and when it has gone. Knows nothing of greetings.
 */
import { messageOf } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { reconnectDelayMs } from '../protocol/session.js';
import type { ActorContext } from './kernel/types.js';
import type { PeerMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import { addressToDialFrom } from './transport/addresses.js';
import type { Connection } from './transport/types.js';

export class PeerDialler {
  /** Since the last link that was of use. */
  attempt = 0;
  /** When the next dial is due; null when none is waited for. */
  nextTryMs: number | null = null;
  isDialling = false;
  /** The one that was dialled last, else the one to be dialled first; empty when none is known. */
  url: string;
  #onTheWay: Connection | null = null;
  readonly #context: ActorContext<PeerMessage>;
  readonly #resources: NodeResources;
  readonly #name: NodeName;
  #urls: readonly string[];
  /** Dials since the URLs changed, or since a link was of use. */
  #turn = 0;

  constructor(parts: {
    context: ActorContext<PeerMessage>;
    resources: NodeResources;
    /** The node that has to be at the other end. */
    name: NodeName;
    urls: readonly string[];
  }) {
    this.#context = parts.context;
    this.#resources = parts.resources;
    this.#name = parts.name;
    this.#urls = parts.urls;
    this.url = parts.urls[0] ?? '';
  }

  /** False: the peer has to dial this node. */
  get hasUrl(): boolean {
    return this.#urls.length > 0;
  }

  /** The outcome is sent to the actor as `link.dialled` or `link.failed`: then say `over`. */
  dial(): void {
    const { signal, self } = this.#context;
    const url = this.#urls[this.#turn % this.#urls.length];
    if (this.isDialling || url === undefined || signal.aborted) return;
    this.isDialling = true;
    this.attempt++;
    this.#turn++;
    this.nextTryMs = null;
    this.url = url;
    const { transport, config } = this.#resources;
    const localAddress = addressToDialFrom(config.node.name);
    transport
      .dial(url, {
        signal,
        timeoutMs: limits.greetingMsMax,
        purpose: 'replication',
        expected: this.#name,
        ...(localAddress !== undefined && { localAddress }),
      })
      .then(
        (connection) => {
          this.#onTheWay = connection;
          if (signal.aborted) this.stop();
          else self.send({ type: 'link.dialled', connection }, 'control');
        },
        (error: unknown) => self.send({ type: 'link.failed', reason: messageOf(error) }, 'control'),
      );
  }

  over(): void {
    this.isDialling = false;
    this.#onTheWay = null;
  }

  /** The actor's life is over; a connection it was not yet told of has no owner. */
  stop(): void {
    this.#onTheWay?.terminate();
  }

  /** Sends the actor `timer.dial` after a wait that grows with the attempts. */
  dialLater(): void {
    if (!this.hasUrl) return;
    const { now, random } = this.#resources.environment;
    const delayMs = reconnectDelayMs({
      attempt: Math.max(1, this.attempt),
      msMin: limits.reconnectMsMin,
      msMax: limits.reconnectMsMax,
      random: random(),
    });
    this.nextTryMs = now() + delayMs;
    this.#context.startTimer('dial', delayMs, { type: 'timer.dial' });
  }

  /** A link is open. */
  rest(): void {
    this.nextTryMs = null;
    this.#context.cancelTimer('dial');
  }

  /** The link that ended was of use: the waits begin with a short one, the URLs with the first. */
  reset(): void {
    this.attempt = 0;
    this.#turn = 0;
  }

  /** Tried from the next dial on, the first of them first. */
  urlsChanged(urls: readonly string[]): void {
    this.#urls = urls;
    this.#turn = 0;
    if (urls.length === 0) this.rest();
  }
}
