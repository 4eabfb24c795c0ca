/** google.rpc.Status and failed calls to the classes of `errors`. */

import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status } from "@grpc/grpc-js";
import * as errors from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "./gen/google/rpc/status_pb.js";

/** Which of the caller's items a request held. */
export interface Place {
  /** Number of the first. */
  readonly start: number;
  /** Path of each, where known. */
  readonly sources?: readonly (string | undefined)[];
}

/** What the details of a status say; field and index are those of the first violation. */
interface Details {
  reason?: string;
  field?: string;
  problem?: string;
  index?: number;
  retryDelayMs?: number;
}

const DETAILS_KEY = "grpc-status-details-bin";
// What libraries say of a message past the limit of the side that receives it.
const MESSAGE_SIZE = /larger than max/;
const KINDS = new Map<string, typeof errors.EvenfaceClientError>([
  ["NOT_FOUND", errors.NotFound],
  ["FAILED_PRECONDITION", errors.Unsupported],
  ["UNIMPLEMENTED", errors.Unsupported],
  ["UNAUTHENTICATED", errors.AccessDenied],
  ["PERMISSION_DENIED", errors.AccessDenied],
  ["RESOURCE_EXHAUSTED", errors.Overloaded],
  ["UNAVAILABLE", errors.Unavailable],
  ["DEADLINE_EXCEEDED", errors.DeadlineExceeded],
  ["CANCELLED", errors.Cancelled],
]);

/** Turn a failed call into an error. */
export function fromCall(
  call: ServiceError,
  place: Place,
  requestId: string,
): errors.EvenfaceClientError {
  const attached = attachedStatus(call);
  return build(call.code, call.details, attached ? read(attached) : {}, place, requestId);
}

/** Turn the status in a reply of a stream into an error. */
export function fromStatus(
  found: Status,
  place: Place,
  requestId: string,
): errors.EvenfaceClientError {
  return build(found.code, found.message, read(found), place, requestId);
}

function attachedStatus(call: ServiceError): Status | undefined {
  const [value] = call.metadata?.get(DETAILS_KEY) ?? [];
  try {
    return value instanceof Uint8Array ? fromBinary(StatusSchema, value) : undefined;
  } catch {
    return undefined; // the code and the message are still there
  }
}

function read(found: Status): Details {
  const details: Details = {};
  for (const detail of found.details) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info) details.reason = info.reason;
    const [violation] = anyUnpack(detail, BadRequestSchema)?.fieldViolations ?? [];
    if (violation)
      Object.assign(details, place(violation.field), { problem: violation.description });
    const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
    if (delay) details.retryDelayMs = durationMs(delay);
  }
  return details;
}

function place(path: string): Details {
  const indexed = /^([^[]*)\[(\d+)\]/.exec(path);
  const field = indexed?.[1] ?? path;
  return {
    // The field travels as "images.encoded.data" or "images.raw"; callers know it as "images".
    field: field.startsWith("images.") ? "images" : field,
    ...(indexed ? { index: Number(indexed[2]) } : {}),
  };
}

function build(
  code: number,
  message: string,
  details: Details,
  place: Place,
  requestId: string,
): errors.EvenfaceClientError {
  const name = (status[code] ?? "UNKNOWN") as errors.StatusCode;
  const facts = { reason: details.reason ?? name, code: name, requestId };
  if (name === "INVALID_ARGUMENT" || MESSAGE_SIZE.test(message)) {
    const { field = "", problem = message, index } = details;
    if (index === undefined) return new errors.InvalidRequest(field, problem, facts);
    const item = { index: place.start + index, source: place.sources?.[index] };
    return new errors.InvalidRequest(field, problem, { ...facts, ...item });
  }
  const Kind = KINDS.get(name) ?? errors.InternalServerError;
  return new Kind(message || name, {
    ...facts,
    retryDelayMs: details.retryDelayMs,
  } as errors.ErrorFacts);
}
