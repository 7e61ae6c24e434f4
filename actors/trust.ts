/**
 * What this node believes about others, at this moment: what TLS connections show and trust, and which certificates are
 * revoked. Written by the signer actor, by the cluster supervisor (routes) and by the revocation actor; read by the transport,
 * by admission and by the HTTPS door at each connection.
 */
import type { NodeName } from '../protocol/ids.js';
import { readRevocationSettings, type RevocationSettings } from '../security/revocationSettings.js';
import { readRevokedSerials, type RevokedSerials } from '../security/serials.js';
import { RevocationGate } from './revocationGate.js';
import { SecureContexts } from './transport/secureContexts.js';

/** Serial numbers that are not accepted for a node, as they were written down. */
export interface RevokedOfNode {
  readonly name: NodeName;
  readonly serials: readonly string[];
}

type Origin = 'rows' | 'routes';

interface ListOfNode {
  readonly written: readonly string[];
  readonly read: RevokedSerials;
}

export class Trust {
  /** Between nodes. */
  readonly contexts = new SecureContexts();
  /** For HTTPS. Another set: who is trusted as a client is not trusted as a node, nor the reverse. */
  readonly operations = new SecureContexts();
  readonly revocation: RevocationGate;
  readonly #revoked: Record<Origin, Lists> = { rows: new Map(), routes: new Map() };
  /** What was warned of and is still there. */
  #named = new Set<string>();

  constructor(settings: RevocationSettings = readRevocationSettings(true)) {
    this.revocation = new RevocationGate(settings, () => this.contexts.authorities);
  }

  /**
   * In place of what was said before by rows of the node table, or by routes. `warn` is told once, by name, of each entry
   * that is no hexadecimal number.
   */
  revoke(origin: Origin, nodes: readonly RevokedOfNode[], warn: (text: string) => void): void {
    const before = this.#revoked[origin];
    const lists: Lists = new Map();
    for (const { name, serials } of nodes) {
      const written = [...(lists.get(name)?.written ?? []), ...serials];
      const known = before.get(name);
      // Most changes of the node table are about something else, and a list may be long.
      const isSame = known !== undefined && areSame(known.written, written);
      lists.set(name, isSame ? known : { written, read: readRevokedSerials(written) });
    }
    this.#revoked[origin] = lists;
    this.#nameOnce(warn);
  }

  readonly isRevoked = (name: NodeName, serial: string): boolean =>
    [this.#revoked.rows, this.#revoked.routes].some((lists) => lists.get(name)?.read.has(serial));

  #nameOnce(warn: (text: string) => void): void {
    const { rows, routes } = this.#revoked;
    const lists = [...rows.values(), ...routes.values()];
    const findings = new Set(lists.flatMap(({ read }) => read.findings));
    for (const finding of findings) if (!this.#named.has(finding)) warn(finding);
    this.#named = findings;
  }
}

type Lists = Map<NodeName, ListOfNode>;

const areSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one, at) => one === others[at]);
