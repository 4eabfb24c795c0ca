/** What a client is connected to, and how its calls get there. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client as Channel } from "@grpc/grpc-js";
import { Bulk, type Wire } from "./bulk.js";
import { Calls } from "./calls.js";
import { openChannel, type TLS } from "./channel.js";
import { Cancelled, DeadlineExceeded, TryAgain, Unavailable } from "./errors.js";
import { eachSource, type Images } from "./images.js";
import type { Outcome } from "./results.js";
import { Knowledge } from "./served.js";
import { Stream } from "./stream.js";
import { checkToken } from "./token.js";
import { traceContext } from "./tracing.js";

/** How a client is set up. */
export interface ClientOptions {
  /** Milliseconds that one request may take, retries included; 30,000 when not given. */
  readonly timeoutMs?: number;
  /** How to speak TLS; plain text when not given. `{}` trusts what Node trusts. */
  readonly tls?: TLS;
  /**
   * How often a request is tried again while the server is overloaded or cannot be reached, 0 to 4;
   * 3 when not given.
   */
  readonly retries?: number;
  /** API token, for servers that ask for one; sent in plain text to this machine alone. */
  readonly token?: string;
  /** Makes the id that the requests of a call carry to the server's log. */
  readonly requestId?: () => string;
}

/** What every method takes. */
export interface CallOptions {
  /**
   * Milliseconds that each request may take, retries included; on a stream, the longest wait for a
   * reply, and how long it is tried again (if the client has retries at all).
   */
  readonly timeoutMs?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 30_000;
const READY_TIMEOUT_MS = 60_000;
const RETRIES = 3;
const POLL_MS = 100;

/** Opens, waits for and closes a connection. What the arguments mean: see `Client`. */
export class Connection {
  protected readonly knowledge = new Knowledge();
  readonly #channel: Channel;
  readonly #server: string;
  readonly #options: ClientOptions;
  readonly #retries: number;
  readonly #running = new Set<Calls>();
  #closed = false;

  constructor(server = "127.0.0.1:50051", options: ClientOptions = {}) {
    const { tls, token, retries = RETRIES } = options;
    if (token !== undefined) checkToken(token, server, tls !== undefined);
    this.#channel = openChannel({ server, tls, retries });
    this.#server = server;
    this.#options = options;
    this.#retries = retries;
  }

  /** Close the connection. Calls that have not ended are cancelled, and so is each that is begun. */
  close(): void {
    this.#closed = true;
    for (const calls of this.#running) calls.end(new Cancelled("the client was closed"));
    this.#channel.close();
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Wait until the server answers.
   *
   * @param options milliseconds to wait at most (60,000 when not given), and what ends it before
   * @throws Unavailable it did not answer in that time
   */
  async waitReady(options: CallOptions = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? READY_TIMEOUT_MS;
    const end = performance.now() + timeoutMs;
    for (;;) {
      const left = Math.max(end - performance.now(), POLL_MS);
      try {
        await this.run(
          { ...options, timeoutMs: left },
          (calls) => this.knowledge.refresh(calls),
          true,
        );
        return;
      } catch (error) {
        if (!(error instanceof TryAgain || error instanceof DeadlineExceeded)) throw error;
        if (performance.now() >= end) {
          const message = `${this.#server} is not ready after ${timeoutMs} ms: ${error.message}`;
          throw new Unavailable(message, { code: error.code ?? "UNAVAILABLE", cause: error });
        }
        await sleep(POLL_MS);
      }
    }
  }

  /** Run the calls of one method; what is still in flight at its end is cancelled. */
  protected async run<T>(
    options: CallOptions,
    work: (calls: Calls) => Promise<T>,
    waitForReady = false,
  ): Promise<T> {
    const calls = this.#begin(options, waitForReady);
    try {
      calls.trace = await traceContext();
      return await work(calls);
    } finally {
      this.#finish(calls);
    }
  }

  /** Run a stream. */
  protected async *stream<Q, R, T>(
    options: CallOptions,
    wire: Wire<Q, R, T>,
    images: Images,
  ): AsyncGenerator<Outcome<T>, void> {
    const calls = this.#begin(options, false);
    try {
      calls.trace = await traceContext();
      const served = await this.knowledge.served(calls);
      const { requestId } = calls.setting;
      const patienceMs = this.#retries > 0 ? calls.timeoutMs : 0;
      const bulk = new Bulk(wire, served.streamBudget(), patienceMs, requestId);
      yield* new Stream(bulk, calls).outcomes(eachSource(images));
    } finally {
      this.#finish(calls);
    }
  }

  #begin({ timeoutMs, signal }: CallOptions, waitForReady: boolean): Calls {
    if (this.#closed) throw new Cancelled("the client is closed");
    const { requestId = newRequestId, token } = this.#options;
    const calls = new Calls(this.#channel, {
      timeoutMs: timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS,
      requestId: requestId(),
      token,
      waitForReady,
      signal,
    });
    this.#running.add(calls);
    return calls;
  }

  #finish(calls: Calls): void {
    calls.end();
    this.#running.delete(calls);
  }
}

function newRequestId(): string {
  return randomUUID().replaceAll("-", "");
}
