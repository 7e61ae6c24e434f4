/**
 * Where the nodes of the membership simulation listen. A node may have another address in its next process, and an
 * address another node than before. Used by simulatedMembershipNode.ts and the checks of who dials whom.
 */
export class AddressBook {
  readonly #hosts = new Map<string, string>();
  readonly #owners = new Map<string, string>();
  readonly #everAt = new Map<string, Set<string>>();
  #given = 0;

  /** Where the node listens, or will with its next process. */
  hostOf(name: string): string {
    return this.#hosts.get(name) ?? this.move(name);
  }

  /** A fresh address for the next process. Returns it. */
  move(name: string): string {
    return this.moveTo(name, `${name}-${++this.#given}`);
  }

  moveTo(name: string, host: string): string {
    this.#hosts.set(name, host);
    this.#everAt.set(host, (this.#everAt.get(host) ?? new Set()).add(name));
    return host;
  }

  /** Addresses that some node had and none has now. */
  get free(): string[] {
    const used = new Set(this.#hosts.values());
    return [...this.#everAt.keys()].filter((host) => !used.has(host));
  }

  listens(name: string, host: string): void {
    this.#owners.set(host, name);
  }

  /** Nobody of that name listens any more. */
  silent(name: string): void {
    for (const [host, owner] of this.#owners) if (owner === name) this.#owners.delete(host);
  }

  /** Who is reached there now. */
  ownerOf(host: string): string | undefined {
    return this.#owners.get(host);
  }

  /** Everybody who ever was to be found there. */
  everAt(host: string): ReadonlySet<string> {
    return this.#everAt.get(host) ?? new Set();
  }
}
