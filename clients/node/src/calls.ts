/** The calls of one method of the client: how they are sent, and how they end together. */

import { setMaxListeners } from "node:events";
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type Client as Channel,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { Cancelled, type EvenfaceClientError, InvalidRequest, Overloaded } from "./errors.js";
import { fromCall, type Place } from "./status.js";

/** Requests of one method that are in flight at once: the server works while the next is prepared. */
const IN_FLIGHT = 4;
/** Milliseconds; gRPC and timers lose count of what is far beyond. */
const LONGEST = 20 * 24 * 3600 * 1000;

/** How the calls of one method are sent. */
export interface Setting {
  /** Milliseconds that each may take. */
  readonly timeoutMs: number;
  /** Id that all of them carry. */
  readonly requestId: string;
  readonly token?: string | undefined;
  readonly waitForReady?: boolean;
  /** The caller's, which cancels them. */
  readonly signal?: AbortSignal | undefined;
}

/** A unary RPC, typed. */
export type Unary<I extends DescMessage, O extends DescMessage> = DescMethodUnary<I, O>;

/** A stream of an RPC, typed. */
export type Duplex<I extends DescMessage, O extends DescMessage> = ClientDuplexStream<
  MessageShape<I>,
  MessageShape<O>
>;

/**
 * Calls that end together: when the method ends, its caller's signal says so, or the client closes.
 *
 * @throws InvalidRequest the timeout is not positive
 * @throws Cancelled the caller's signal has been given already
 */
export class Calls {
  readonly #ending = new AbortController();
  readonly #leave: (() => void) | undefined;
  readonly timeoutMs: number;
  /** The caller's trace context, which all of them carry. */
  trace: Readonly<Record<string, string>> = {};

  constructor(
    readonly channel: Channel,
    readonly setting: Setting,
  ) {
    if (!(setting.timeoutMs > 0)) {
      throw new InvalidRequest("timeoutMs", `${setting.timeoutMs} is not above 0`);
    }
    this.timeoutMs = Math.min(setting.timeoutMs, LONGEST);
    const { signal } = setting;
    if (signal) {
      const abort = () =>
        this.end(new Cancelled("the call was cancelled", { cause: signal.reason }));
      if (signal.aborted) abort();
      this.check();
      setMaxListeners(0, signal); // one may end any number of calls; Node warns of more than ten
      signal.addEventListener("abort", abort);
      this.#leave = () => signal.removeEventListener("abort", abort);
    }
  }

  /** Aborted when the calls are to end. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Cancel what is in flight. */
  end(reason: EvenfaceClientError = new Cancelled("the call has ended")): void {
    this.#leave?.();
    this.#ending.abort(reason);
  }

  /** Throw the reason where the calls have ended. */
  check(): void {
    this.signal.throwIfAborted();
  }

  /** Make one unary call. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: Unary<I, O>,
    request: MessageShape<I>,
    place: Place = { start: 0 },
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.check();
      const cancel = () => call.cancel();
      const done = (error: ServiceError | null, reply?: MessageShape<O>) => {
        this.signal.removeEventListener("abort", cancel);
        if (error) reject(this.failure(error, place));
        else resolve(reply as MessageShape<O>);
      };
      const call = this.channel.makeUnaryRequest(
        ...wire(method),
        request,
        this.#metadata(),
        { deadline: Date.now() + this.timeoutMs },
        done,
      );
      this.signal.addEventListener("abort", cancel);
    });
  }

  /** Open a stream; it has no deadline. */
  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
  ): Duplex<I, O> {
    this.check();
    const call = this.channel.makeBidiStreamRequest(...wire(method), this.#metadata());
    const cancel = () => call.cancel();
    this.signal.addEventListener("abort", cancel);
    return call.once("status", () => this.signal.removeEventListener("abort", cancel));
  }

  /**
   * Run calls, several at a time; their replies in order.
   *
   * @param requests each is sent when there is room for it
   */
  async gather<C, R>(
    requests: Iterable<C> | AsyncIterable<C>,
    send: (request: C) => Promise<R>,
  ): Promise<R[]> {
    const replies: R[] = [];
    const flying: { request: C; reply: Promise<R> }[] = [];
    let width = IN_FLIGHT;
    const land = async ({ request, reply }: { request: C; reply: Promise<R> }): Promise<void> => {
      try {
        replies.push(await reply);
      } catch (error) {
        if (!(error instanceof Overloaded) || flying.length === 0) throw error;
        // Our own calls may be what fills the queue: let them end, then send one at a time.
        await Promise.allSettled(flying.map((other) => other.reply));
        replies.push(await send(request));
        width = 1;
      }
    };
    for await (const request of requests) {
      while (flying.length >= width) await land(flying.shift()!);
      const reply = send(request);
      reply.catch(() => {}); // it is looked at when its turn comes
      flying.push({ request, reply });
    }
    while (flying.length > 0) await land(flying.shift()!);
    return replies;
  }

  /** What a failed call means. */
  failure(error: ServiceError, place: Place = { start: 0 }): EvenfaceClientError {
    if (this.signal.aborted) return this.signal.reason as EvenfaceClientError;
    return fromCall(error, place, this.setting.requestId);
  }

  #metadata(): Metadata {
    const { requestId, token, waitForReady = false } = this.setting;
    const metadata = new Metadata({ waitForReady });
    for (const [key, value] of Object.entries(this.trace)) metadata.set(key, value);
    metadata.set("x-request-id", requestId);
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    return metadata;
  }
}

/** The path of a method, and how its messages become bytes and back. */
function wire<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O> | DescMethodBiDiStreaming<I, O>,
): [string, (message: MessageShape<I>) => Buffer, (bytes: Buffer) => MessageShape<O>] {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (message) => {
      const bytes = toBinary(method.input, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    (bytes) => fromBinary(method.output, bytes),
  ];
}
