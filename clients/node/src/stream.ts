/** Runs a `Bulk`: reads images, keeps a stream open and hands outcomes out, all at the same time. */

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { Bulk, Outgoing, Reply } from "./bulk.js";
import type { Calls } from "./calls.js";
import { DeadlineExceeded, InvalidRequest, TryAgain, Unavailable } from "./errors.js";
import { coerce } from "./images.js";
import type { Outcome } from "./results.js";

type Source = AsyncIterator<unknown> | Iterator<unknown>;

/** One stream of a caller. */
export class Stream<Q, R, T> {
  readonly #moved = new Flag(); // the consumer waits for it
  readonly #room = new Flag(); // the feeder waits for it
  #line: ClientDuplexStream<Q, Reply<R>> | undefined;
  #broken = false; // and a new line is to be opened in a moment
  #pauses = new Set<NodeJS.Timeout>();
  #patience: NodeJS.Timeout | undefined;
  #hurrying = false;
  #fed = false;
  #stopped = false;
  #reading = false;
  #failed: { error: unknown } | undefined;

  constructor(
    readonly bulk: Bulk<Q, R, T>,
    readonly calls: Calls,
  ) {}

  /**
   * The outcomes, in the order of the images.
   *
   * @throws EvenfaceClientError the stream failed for a reason that concerns every image
   */
  async *outcomes(source: Source): AsyncGenerator<Outcome<T>, void> {
    const abort = () => this.#fail(this.calls.signal.reason);
    if (this.calls.signal.aborted) abort();
    else this.calls.signal.addEventListener("abort", abort);
    void this.#feed(source);
    try {
      do {
        await this.#moved.set;
        for (const outcome of this.bulk.ready()) {
          this.calls.check();
          this.#room.raise();
          yield outcome;
        }
        if (this.#failed) throw this.#failed.error;
      } while (!(this.#fed && this.bulk.idle));
      await this.#end();
    } finally {
      this.calls.signal.removeEventListener("abort", abort);
      this.#stop();
      await this.#close(source);
    }
  }

  async #feed(source: Source): Promise<void> {
    try {
      while (await this.#roomy()) {
        this.#reading = true;
        const { done, value } = await source.next();
        this.#reading = false;
        if (done) {
          this.#write(this.bulk.flush());
          this.#fed = true;
          return;
        }
        await this.#add(value);
      }
    } catch (error) {
      this.#fed = true; // a source that has thrown is not closed
      this.#reading = false;
      this.#fail(error);
    } finally {
      this.#moved.raise();
      if (this.#stopped) await this.#close(source).catch(() => {}); // nobody is there to hear of it
    }
  }

  async #add(source: unknown): Promise<void> {
    try {
      for (const item of await coerce(source, this.bulk.added)) {
        if (!(await this.#roomy())) return;
        this.#write(this.bulk.add(item));
      }
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
      this.bulk.reject(error);
    }
    this.#moved.raise();
    this.#hurry();
  }

  /** Wait until more may be added; false when there is no need of more. */
  async #roomy(): Promise<boolean> {
    while (!this.#stopped && (this.bulk.full || this.#pauses.size > 0)) {
      this.#hurry(); // what waits for company may be what all others wait for
      await this.#room.set;
    }
    return !this.#stopped;
  }

  /** Images of a source that takes its time go on while nothing else is on its way. */
  #hurry(): void {
    if (this.#hurrying || this.bulk.waiting || !this.bulk.gathering) return;
    this.#hurrying = true;
    setImmediate(() => {
      this.#hurrying = false;
      if (this.#stopped || this.bulk.waiting) return;
      this.#attempt(() => this.#write(this.bulk.flush())); // whatever is thrown here ends the process
    });
  }

  #open(): void {
    const line = this.bulk.wire.open(this.calls);
    this.#line = line;
    const current = () => line === this.#line;
    line.on("data", (reply: Reply<R>) => current() && this.#receive(reply));
    line.on("error", (error: ServiceError) => current() && this.#break(this.calls.failure(error)));
    line.on("end", () => current() && this.#break(new Unavailable("the server ended the stream")));
  }

  #write(requests: readonly Q[]): void {
    if (requests.length === 0 || this.#broken) return; // a new line begins with what is unanswered
    if (!this.#line) this.#open();
    for (const request of requests) this.#line?.write(request);
    this.#watch();
  }

  #receive(reply: Reply<R>): void {
    this.#attempt(() => this.#resend(this.bulk.receive(reply)));
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#watch();
    this.#hurry();
    this.#room.raise();
    this.#moved.raise();
  }

  #resend({ requests, delayMs }: Outgoing<Q>): void {
    if (delayMs === 0) this.#write(requests);
    else this.#pause(delayMs, () => this.#write(requests));
  }

  #break(error: Error): void {
    this.#line = undefined;
    if (this.#stopped || (!this.bulk.waiting && error instanceof TryAgain)) return;
    this.#attempt(() => {
      if (!(error instanceof TryAgain)) throw error;
      const delayMs = this.bulk.reopen(error);
      for (const pause of this.#pauses) clearTimeout(pause);
      this.#pauses.clear();
      this.#broken = true;
      this.#pause(delayMs, () => {
        this.#broken = false;
        this.#write(this.bulk.unanswered());
      });
    });
  }

  /** Send nothing new for a while; then do something. */
  #pause(delayMs: number, then: () => void): void {
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      this.#attempt(then);
      this.#room.raise();
    }, delayMs);
    this.#pauses.add(pause);
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }

  /** Be impatient while a reply is due. */
  #watch(): void {
    if (this.#patience || this.#pauses.size > 0 || !this.bulk.waiting || this.#stopped) return;
    const { timeoutMs, setting } = this.calls;
    this.#patience = setTimeout(() => {
      const message = `no reply on the stream for ${timeoutMs} ms`;
      this.#fail(new DeadlineExceeded(message, { requestId: setting.requestId }));
    }, timeoutMs);
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= { error };
    this.#stop();
    this.#moved.raise();
  }

  /** Say that no more requests come, and let the server end the stream. */
  async #end(): Promise<void> {
    const line = this.#line;
    if (!line) return;
    this.#line = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.calls.timeoutMs);
      const ended = () => {
        clearTimeout(timer);
        resolve();
      };
      line.once("end", ended);
      line.once("error", ended);
      line.end();
    });
  }

  #stop(): void {
    this.#stopped = true;
    clearTimeout(this.#patience);
    for (const pause of this.#pauses) clearTimeout(pause);
    this.#room.raise();
  }

  /** Let a source that is left early clean up, once it is not busy. */
  async #close(source: Source): Promise<void> {
    if (this.#fed || this.#reading) return;
    this.#fed = true;
    await source.return?.();
  }
}

/** A flag that one waits for; it falls as soon as the wait is over. */
class Flag {
  #raised = false;
  #wake: (() => void) | undefined;

  /** Resolves when the flag is raised. */
  get set(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#raised = false;
        this.#wake = undefined;
        resolve();
      };
      if (this.#raised) this.#wake();
    });
  }

  raise(): void {
    this.#raised = true;
    this.#wake?.();
  }
}
