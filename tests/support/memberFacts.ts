/**
 * Who must be a member, by what was acknowledged: the join of all lives that nodes said they hold. Called by
 * memberHistory.ts. Knows nothing of processes.
 */
export interface Life {
  readonly generation: number;
  readonly ended: boolean;
}

export class MemberFacts {
  readonly #lives = new Map<string, Life>();

  /** Rows of `hdb_node_generations`, as some node showed them. */
  take(rows: readonly Readonly<Record<string, unknown>>[]): void {
    for (const { name, generation, ended } of rows)
      this.#join(String(name), { generation: Number(generation), ended: ended === true });
  }

  isMember(name: string): boolean {
    return this.#lives.get(name)?.ended === false;
  }

  lifeOf(name: string): Life | undefined {
    return this.#lives.get(name);
  }

  toString(): string {
    return [...this.#lives]
      .map(([name, { generation, ended }]) => `${name}#${generation}${ended ? ' ended' : ''}`)
      .sort()
      .join(', ');
  }

  #join(name: string, life: Life): void {
    const held = this.#lives.get(name);
    if (!held || isGreater(life, held)) this.#lives.set(name, life);
  }
}

const isGreater = (a: Life, b: Life): boolean =>
  a.generation > b.generation || (a.generation === b.generation && a.ended && !b.ended);
