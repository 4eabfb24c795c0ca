/** How many items go into one request. Knows nothing of gRPC and sends nothing. */

import { InvalidRequest } from "./errors.js";
import { coerce, eachSource, type Images, type Item, sameShape } from "./images.js";
import type { Place } from "./status.js";

/** Bytes of framing around one item in a message. */
export const ITEM_OVERHEAD = 16;
/** Bytes of all else that always is in a message. */
export const MESSAGE_OVERHEAD = 768;

/** What one request may hold. */
export interface Budget {
  /** Number of items, ≥ 1. */
  readonly items: number;
  /** Bytes of items, framing included. */
  readonly payload: number;
}

/** Items of one request: neighbours, all files or all pixels of one shape. */
export interface Chunk {
  /** Number of the first among all items. */
  readonly start: number;
  readonly items: readonly Item[];
}

/** Bytes that the items of a chunk take in a message. */
export function payload(chunk: Chunk): number {
  return chunk.items.reduce((sum, item) => sum + cost(item), 0);
}

/** Where the items of a chunk come from, for errors. */
export function placeOf(chunk: Chunk): Place {
  return { start: chunk.start, sources: chunk.items.map((item) => item.source) };
}

/** Gathers items into chunks, in order; an item that does not fit begins the next chunk. */
export class Chunker {
  #start = 0;
  #items: Item[] = [];
  #payload = 0;

  constructor(readonly budget: Budget) {}

  /** Number of items gathered since the last chunk. */
  get gathered(): number {
    return this.#items.length;
  }

  /** Bytes of the items gathered since the last chunk. */
  get payload(): number {
    return this.#payload;
  }

  /**
   * Add item number `index`; returns a chunk where the item ends one.
   *
   * @throws InvalidRequest the item is larger than a message may be
   */
  add(index: number, item: Item): Chunk | undefined {
    if (cost(item) > this.budget.payload) {
      const problem = `${item.data.length} bytes; limit ${this.budget.payload - ITEM_OVERHEAD}`;
      throw new InvalidRequest("images", problem, { index, source: item.source });
    }
    const full = this.#fits(index, item) ? undefined : this.flush();
    if (this.#items.length === 0) this.#start = index;
    this.#items.push(item);
    this.#payload += cost(item);
    return full;
  }

  /** The items gathered since the last chunk, if any. */
  flush(): Chunk | undefined {
    if (this.#items.length === 0) return undefined;
    const chunk = { start: this.#start, items: this.#items };
    this.#items = [];
    this.#payload = 0;
    return chunk;
  }

  #fits(index: number, item: Item): boolean {
    const [first] = this.#items;
    return (
      !first ||
      (index === this.#start + this.#items.length &&
        sameShape(first.shape, item.shape) &&
        this.#items.length < this.budget.items &&
        this.#payload + cost(item) <= this.budget.payload)
    );
  }
}

/**
 * Cut images into chunks, reading them only as chunks are asked for.
 *
 * @throws InvalidRequest an image cannot be used, or there is none
 */
export async function* chunked(images: Images, budget: Budget): AsyncGenerator<Chunk, void> {
  const chunker = new Chunker(budget);
  let index = 0;
  for await (const source of {
    [Symbol.asyncIterator]: () => eachSource(images) as AsyncIterator<unknown>,
  }) {
    for (const item of await coerce(source, index)) {
      const chunk = chunker.add(index, item);
      index += 1;
      if (chunk) yield chunk;
    }
  }
  if (index === 0) throw new InvalidRequest("images", "none were passed; pass at least one");
  const last = chunker.flush();
  if (last) yield last;
}

/** Cut 0 … count - 1 into ranges of at most `size`. */
export function* spans(count: number, size: number): Generator<Span, void> {
  for (let start = 0; start < count; start += size) {
    yield { start, end: Math.min(start + size, count) };
  }
}

/** Numbers from start to end, without end. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

function cost(item: Item): number {
  return item.data.length + ITEM_OVERHEAD;
}
