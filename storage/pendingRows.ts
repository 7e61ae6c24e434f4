/**
 * Rows accepted into a batch that is not yet on the disk, so that later operations see them. Looking
 * one up builds the index lazily: a bulk of blind writes never pays for it. Called by commit.ts.
 */

export class PendingRows {
  #keys: Buffer[] = [];
  #values: (Buffer | null)[] = [];
  #index = new Map<string, number>();
  #indexed = 0;

  /** `null`: the row is gone. */
  add(storeKey: Buffer, value: Buffer | null): void {
    this.#keys.push(storeKey);
    this.#values.push(value);
  }

  /** Undefined: this batch does not touch the row. */
  get(storeKey: Buffer): Buffer | null | undefined {
    if (this.#keys.length === 0) return undefined;
    this.#catchUp();
    const place = this.#index.get(storeKey.toString('latin1'));
    return place === undefined ? undefined : this.#values[place];
  }

  /** Keys of this batch in the range, in no order; also of rows that are gone in it. */
  keysIn(range: { readonly from: Buffer; readonly to: Buffer }): Buffer[] {
    return this.#keys.filter((key) => key.compare(range.from) >= 0 && key.compare(range.to) <= 0);
  }

  #catchUp(): void {
    for (; this.#indexed < this.#keys.length; this.#indexed++)
      this.#index.set(this.#keys[this.#indexed]?.toString('latin1') ?? '', this.#indexed);
  }
}
