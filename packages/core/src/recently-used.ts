/** The last few values that were asked for. */
export class RecentlyUsed<T> {
  readonly #limit: number;
  readonly #free: (value: T) => void;
  /** The latest in front. */
  readonly #values: T[] = [];

  /** @param free Called with each value that is not kept any longer. */
  constructor(limit: number, free: (value: T) => void = () => {}) {
    this.#limit = limit;
    this.#free = free;
  }

  /** The value that fits; where there is none it is made, and the one that was not asked for the longest goes. */
  get(fits: (value: T) => boolean, make: () => T): T {
    const at = this.#values.findIndex(fits);
    const found = at >= 0 ? this.#values.splice(at, 1)[0]! : make();
    this.#values.unshift(found);
    if (this.#values.length > this.#limit) this.#free(this.#values.pop()!);
    return found;
  }
}
