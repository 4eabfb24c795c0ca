/**
 * The bookkeeping of a stream, without a transport: images come in one by one, requests of several
 * images go out, and outcomes leave in the order of the images. What is held is bounded by `full`.
 */

import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { Calls } from "./calls.js";
import { type Budget, type Chunk, Chunker, payload, placeOf } from "./chunks.js";
import {
  type EvenfaceClientError,
  InternalServerError,
  InvalidRequest,
  TryAgain,
} from "./errors.js";
import type { Status } from "./gen/google/rpc/status_pb.js";
import type { Item } from "./images.js";
import type { Outcome } from "./results.js";
import { fromStatus } from "./status.js";

/** A reply of either stream. */
export interface Reply<R> {
  readonly id: bigint;
  readonly result:
    | { case: "response"; value: R }
    | { case: "error"; value: Status }
    | { case: undefined; value?: undefined };
}

/** What differs between the two streams. Q = request, R = response, T = what an image becomes. */
export interface Wire<Q, R, T> {
  /** Opens the stream. */
  open(calls: Calls): ClientDuplexStream<Q, Reply<R>>;
  /** Makes a request from an id and a chunk. */
  build(id: bigint, chunk: Chunk): Q;
  /** Takes a response apart, one value for each item. */
  split(response: R): T[];
}

/** Requests to send, and after how long. */
export interface Outgoing<Q> {
  readonly requests: readonly Q[];
  readonly delayMs: number;
}

interface Sent {
  readonly chunk: Chunk;
  readonly tries: number;
  /** When it was sent for the first time. */
  readonly since: number;
}

const IMAGES_PER_REQUEST = 16;
const REQUEST_BYTES = 2 ** 20;
const HELD_IMAGES = 512;
const HELD_BYTES = 64 * 2 ** 20;
const BACKOFF_MS = 200; // longer by as much at each try
const MAX_BACKOFF_MS = 2000;

/** The state of one stream of a caller, over all streams of the transport that it takes. */
export class Bulk<Q, R, T> {
  readonly #chunker: Chunker;
  readonly #sent = new Map<bigint, Sent>();
  readonly #sources = new Map<number, string | undefined>();
  readonly #done = new Map<number, Outcome<T>>();
  #added = 0;
  #delivered = 0;
  #lastId = 0n;
  #reopened = 0;
  #broken: number | undefined; // since when no stream has brought a reply
  #heldBytes = 0;

  /**
   * @param budget what one message may hold
   * @param patienceMs how long a request is tried again, and a stream opened anew without an answer
   * @param requestId for errors
   */
  constructor(
    readonly wire: Wire<Q, R, T>,
    budget: Budget,
    readonly patienceMs: number,
    readonly requestId: string,
  ) {
    // An image larger than the preferred size of a request still goes, alone.
    const items = Math.min(IMAGES_PER_REQUEST, budget.items);
    this.#chunker = new Chunker({ items, payload: budget.payload });
  }

  /** Number of images so far; the next one's index. */
  get added(): number {
    return this.#added;
  }

  /** Whether to let replies come in, or outcomes be taken, before more is added. */
  get full(): boolean {
    return this.#added - this.#delivered >= HELD_IMAGES || this.#heldBytes >= HELD_BYTES;
  }

  /** Whether replies are outstanding. */
  get waiting(): boolean {
    return this.#sent.size > 0;
  }

  /** Whether all outcomes have been handed out. */
  get idle(): boolean {
    return this.#delivered === this.#added;
  }

  /** Whether images wait for more to share a request with. */
  get gathering(): boolean {
    return this.#chunker.gathered > 0;
  }

  /** Add an image; returns the requests that it completes. */
  add(item: Item): Q[] {
    const index = this.#next(item.source);
    try {
      const chunk = this.#chunker.add(index, item);
      const requests = chunk ? [this.#send(chunk)] : [];
      return this.#chunker.payload < REQUEST_BYTES ? requests : [...requests, ...this.flush()];
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
      this.#finish(index, { error });
      return [];
    }
  }

  /** Note that the next image cannot be used. */
  reject(error: InvalidRequest): void {
    this.#finish(this.#next(error.source), { error });
  }

  /** The request of the images that were added last. */
  flush(): Q[] {
    const chunk = this.#chunker.flush();
    return chunk ? [this.#send(chunk)] : [];
  }

  /**
   * Take a reply in; returns what must be sent again because of it.
   *
   * @throws EvenfaceClientError the request failed for a reason that concerns every image
   */
  receive({ id, result }: Reply<R>): Outgoing<Q> {
    const sent = this.#sent.get(id);
    if (!sent || result.case === undefined) {
      throw new InternalServerError(`a reply to request ${id} that is none`, {
        requestId: this.requestId,
      });
    }
    this.#sent.delete(id);
    this.#heldBytes -= payload(sent.chunk);
    this.#reopened = 0;
    this.#broken = undefined;
    if (result.case === "error") return this.#repeat(sent, result.value);
    const values = this.wire.split(result.value);
    if (values.length !== sent.chunk.items.length) {
      const problem = `${values.length} results for ${sent.chunk.items.length} images`;
      throw new InternalServerError(problem, { requestId: this.requestId });
    }
    values.forEach((value, at) => {
      this.#finish(sent.chunk.start + at, { value });
    });
    return { requests: [], delayMs: 0 };
  }

  /**
   * After the stream broke: milliseconds to wait before a new one.
   *
   * @throws TryAgain new streams have brought no reply for too long
   */
  reopen(error: TryAgain): number {
    this.#broken ??= performance.now();
    return this.#delay(error, this.#reopened++, this.#broken);
  }

  /** The requests without a reply, with which a new stream must begin. */
  unanswered(): Q[] {
    return [...this.#sent].map(([id, { chunk }]) => this.wire.build(id, chunk));
  }

  /** Hand out the outcomes whose turn has come. */
  *ready(): Generator<Outcome<T>, void> {
    for (;;) {
      const outcome = this.#done.get(this.#delivered);
      if (!outcome) return;
      this.#done.delete(this.#delivered);
      this.#delivered += 1;
      yield outcome;
    }
  }

  #repeat({ chunk, tries, since }: Sent, status: Status): Outgoing<Q> {
    const error = fromStatus(status, placeOf(chunk), this.requestId);
    if (error instanceof TryAgain) {
      const delayMs = this.#delay(error, tries, since);
      return { requests: [this.#send(chunk, tries + 1, since)], delayMs };
    }
    if (!(error instanceof InvalidRequest) || !error.field.startsWith("images")) throw error;
    if (chunk.items.length === 1) {
      this.#finish(chunk.start, { error });
      return { requests: [], delayMs: 0 };
    }
    // One bad image must not cost its neighbours.
    const singly = chunk.items.map((item, at) => ({ start: chunk.start + at, items: [item] }));
    return { requests: singly.map((one) => this.#send(one)), delayMs: 0 };
  }

  #send(chunk: Chunk, tries = 0, since = performance.now()): Q {
    this.#lastId += 1n;
    this.#sent.set(this.#lastId, { chunk, tries, since });
    this.#heldBytes += payload(chunk);
    return this.wire.build(this.#lastId, chunk);
  }

  #next(source: string | undefined): number {
    this.#sources.set(this.#added, source);
    this.#added += 1;
    return this.#added - 1;
  }

  #finish(index: number, found: { value: T } | { error: EvenfaceClientError }): void {
    this.#done.set(index, { index, source: this.#sources.get(index), ...found });
    this.#sources.delete(index);
  }

  /** Milliseconds to wait before the next try: as the server asks, and longer if that was too short. */
  #delay(error: TryAgain, tries: number, since: number): number {
    const own = Math.min(tries * BACKOFF_MS, MAX_BACKOFF_MS);
    const delayMs = Math.max(error.retryDelayMs ?? BACKOFF_MS, own);
    if (performance.now() - since + delayMs > this.patienceMs) throw error;
    return delayMs;
  }
}
