/**
 * What can go wrong in a call: one tree, for errors of the server and errors found before sending.
 *
 *     EvenfaceClientError
 *     ├── InvalidRequest         an argument cannot be used (INVALID_ARGUMENT, or found here)
 *     ├── NotFound               no such model or version (NOT_FOUND)
 *     ├── Unsupported            the model or the server lacks the function (FAILED_PRECONDITION)
 *     ├── AccessDenied           the server does not let this caller in (UNAUTHENTICATED, …)
 *     ├── TryAgain               the same call may succeed later
 *     │   ├── Overloaded         too much for the server, or for this caller (RESOURCE_EXHAUSTED)
 *     │   └── Unavailable        no connection, loading or draining (UNAVAILABLE)
 *     ├── DeadlineExceeded       no answer within the timeout (DEADLINE_EXCEEDED)
 *     ├── Cancelled              the call was cancelled (CANCELLED)
 *     └── InternalServerError    the server's fault (INTERNAL and the rest)
 *
 * An `InvalidRequest` that was found here, before anything was sent, has no `code`.
 */

/** Names of gRPC's status codes. */
export type StatusCode =
  | "OK"
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What is known of an error besides its message. */
export interface ErrorFacts {
  readonly reason?: string;
  readonly code?: StatusCode;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** Base of every error that a client raises on purpose. */
export class EvenfaceClientError extends Error {
  /** The server's name of the cause, UPPER_SNAKE, for programs to compare; "" where there is none. */
  readonly reason: string;
  /** The gRPC status; undefined where the request was not sent. */
  readonly code: StatusCode | undefined;
  /** Id of the request, as it stands in the server's log; "" where the request was not sent. */
  readonly requestId: string;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? {} : { cause: facts.cause });
    this.name = new.target.name;
    this.reason = facts.reason ?? "";
    this.code = facts.code;
    this.requestId = facts.requestId ?? "";
  }
}

/** Which item is at fault. */
export interface ItemFacts extends ErrorFacts {
  readonly index?: number | undefined;
  readonly source?: string | undefined;
}

/** An argument breaks a rule or a limit. */
export class InvalidRequest extends EvenfaceClientError {
  /** The argument, such as `images` or `temperature`. */
  readonly field: string;
  /** What is wrong, with the value and the limit. */
  readonly problem: string;
  /** Position of the item at fault among all that were passed. */
  readonly index: number | undefined;
  /** The file that the item came from. */
  readonly source: string | undefined;

  constructor(field: string, problem: string, facts: ItemFacts = {}) {
    const item = facts.index === undefined ? field : `${field}[${facts.index}]`;
    const where = facts.source ? `${item} (${facts.source})` : item;
    super(where ? `${where}: ${problem}` : problem, { reason: "INVALID_INPUT", ...facts });
    this.field = field;
    this.problem = problem;
    this.index = facts.index;
    this.source = facts.source;
  }
}

/** No model of that name, or no such version of it, is served. */
export class NotFound extends EvenfaceClientError {}

/** The model lacks the function, or the server lacks the method. */
export class Unsupported extends EvenfaceClientError {}

/** The server, or something before it, does not accept this caller. */
export class AccessDenied extends EvenfaceClientError {}

/** An error that a later try may not meet. */
export class TryAgain extends EvenfaceClientError {
  /** Milliseconds after which the server advises a new try; undefined where it does not say. */
  readonly retryDelayMs: number | undefined;

  constructor(message: string, facts: ErrorFacts & { retryDelayMs?: number | undefined } = {}) {
    super(message, facts);
    this.retryDelayMs = facts.retryDelayMs;
  }
}

/** The server has more work than it admits, or this caller is over its rate, at every retry. */
export class Overloaded extends TryAgain {}

/** The server cannot be reached, is loading its models, or is draining. */
export class Unavailable extends TryAgain {}

/** No answer came within the timeout. */
export class DeadlineExceeded extends EvenfaceClientError {}

/** The call was cancelled, by its caller's signal (the `cause` is its reason) or by closing. */
export class Cancelled extends EvenfaceClientError {}

/** Something went wrong inside the server; its log has the request id. */
export class InternalServerError extends EvenfaceClientError {}
