/** Arrays with a shape, and the little-endian bytes in which they travel. */

import { create } from "@bufbuild/protobuf";
import { InternalServerError, InvalidRequest } from "./errors.js";
import {
  DataType,
  type Tensor as TensorMessage,
  TensorSchema,
} from "./gen/evenface/v1/common_pb.js";

/** What tensors are made of. */
export type Elements = Float32Array | Float64Array | BigInt64Array;

/** An array in C (row-major) order. */
export interface Tensor<A extends Elements = Float32Array> {
  /** The elements, of all rows after each other. */
  readonly data: A;
  /** Length of each dimension. */
  readonly shape: readonly number[];
}

/** N latents of D dimensions: a tensor [N, D], an array of N rows, or a single row. */
export type Latents =
  | Tensor<Float32Array | Float64Array>
  | readonly (Float32Array | Float64Array)[]
  | Float32Array
  | Float64Array;

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new Error("evenface: big-endian machines are not supported");
}

const KINDS = {
  [DataType.FLOAT32]: Float32Array,
  [DataType.FLOAT64]: Float64Array,
  [DataType.INT64]: BigInt64Array,
};

/**
 * Row i of a tensor [N, …], without copying.
 *
 * @throws RangeError there is no such row
 */
export function row<A extends Elements>(tensor: Tensor<A>, i: number): A {
  if (!Number.isInteger(i) || i < 0 || i >= (tensor.shape[0] ?? 0)) {
    throw new RangeError(`no row ${i} in a tensor of shape [${tensor.shape}]`);
  }
  const length = size(tensor.shape.slice(1));
  return tensor.data.subarray(i * length, (i + 1) * length) as A;
}

/** Rows start to end of a tensor [N, …], without copying. */
export function rows<A extends Elements>(tensor: Tensor<A>, start: number, end: number): Tensor<A> {
  const rest = tensor.shape.slice(1);
  const data = tensor.data.subarray(start * size(rest), end * size(rest)) as A;
  return { data, shape: [end - start, ...rest] };
}

/** A tensor as a message; shares its memory. */
export function toMessage(tensor: Tensor<Elements>): TensorMessage {
  const { data, shape } = tensor;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return create(TensorSchema, { data: bytes, shape: [...shape], dataType: kindOf(data) });
}

/**
 * A message as a tensor of the kind that belongs there; shares the memory of the message where that
 * lies at a multiple of the element's size, and is a copy elsewhere.
 *
 * @throws InternalServerError the message contradicts itself, or is of another kind
 */
export function fromMessage<A extends Elements>(
  message: TensorMessage | undefined,
  Kind: {
    new (buffer: ArrayBufferLike, offset: number, length: number): A;
    BYTES_PER_ELEMENT: number;
  },
): Tensor<A> {
  const count = message && size(message.shape);
  if (
    !message ||
    KINDS[message.dataType as keyof typeof KINDS] !== (Kind as unknown) ||
    message.data.byteLength !== Number(count) * Kind.BYTES_PER_ELEMENT
  ) {
    throw new InternalServerError("the reply holds a broken tensor");
  }
  const aligned = message.data.byteOffset % Kind.BYTES_PER_ELEMENT === 0;
  // slice() of a Buffer would share its memory.
  const bytes = aligned ? message.data : Uint8Array.prototype.slice.call(message.data);
  return { data: new Kind(bytes.buffer, bytes.byteOffset, Number(count)), shape: message.shape };
}

/** Tensors joined along their first dimension. */
export function join<A extends Elements>(parts: readonly Tensor<A>[]): Tensor<A> {
  const [first] = parts;
  if (!first) throw new InternalServerError("no reply");
  if (parts.length === 1) return first;
  const total = parts.reduce((sum, part) => sum + part.data.length, 0);
  const Kind = first.data.constructor as new (length: number) => A;
  const data = new Kind(total);
  let at = 0;
  for (const part of parts) {
    (data as Float32Array).set(part.data as Float32Array, at);
    at += part.data.length;
  }
  const count = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
  return { data, shape: [count, ...first.shape.slice(1)] };
}

/**
 * Latents as a tensor [N, D].
 *
 * @throws InvalidRequest they are no numbers, of another shape, or not finite
 */
export function latentRows(latents: Latents): Tensor<Float32Array | Float64Array> {
  const found = isFloats(latents)
    ? single(latents)
    : isTensor(latents)
      ? latents
      : stacked(latents);
  const [n = 0, d = 0] = found.shape;
  if (found.shape.length !== 2 || n < 1 || d < 1 || n * d !== found.data.length) {
    const shape = `shape [${found.shape}] of ${found.data.length} numbers`;
    throw new InvalidRequest("latents", `${shape} is not [N, D] with N ≥ 1, D ≥ 1`);
  }
  const wrong = found.data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw new InvalidRequest("latents", "holds NaN or infinity", { index: Math.floor(wrong / d) });
  }
  return found;
}

/**
 * Logits as a tensor [N].
 *
 * @throws InvalidRequest they are no numbers, none, or not finite
 */
export function logitValues(
  logits: Float32Array | Float64Array,
): Tensor<Float32Array | Float64Array> {
  if (!isFloats(logits)) throw new InvalidRequest("logits", "pass a Float32Array or Float64Array");
  if (logits.length === 0)
    throw new InvalidRequest("logits", "none were passed; pass at least one");
  const wrong = logits.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new InvalidRequest("logits", "holds NaN or infinity", { index: wrong });
  return { data: logits, shape: [logits.length] };
}

/** float64 numbers as float32. */
export function asFloat32(tensor: Tensor<Float32Array | Float64Array>): Tensor {
  if (tensor.data instanceof Float32Array) return { data: tensor.data, shape: tensor.shape };
  return { data: Float32Array.from(tensor.data), shape: tensor.shape };
}

function single(latent: Float32Array | Float64Array): Tensor<Float32Array | Float64Array> {
  return { data: latent, shape: [1, latent.length] };
}

function stacked(
  list: readonly (Float32Array | Float64Array)[],
): Tensor<Float32Array | Float64Array> {
  if (!Array.isArray(list) || !list.every(isFloats)) {
    throw new InvalidRequest("latents", "pass a tensor, a Float32Array or an array of these");
  }
  const [first] = list;
  if (!first) throw new InvalidRequest("latents", "none were passed; pass at least one");
  const odd = list.findIndex(
    (one) => one.length !== first.length || one.constructor !== first.constructor,
  );
  if (odd >= 0) {
    const problem = `${list[odd]?.length} numbers (${list[odd]?.constructor.name})`;
    throw new InvalidRequest(
      "latents",
      `${problem}; the first has ${first.length} (${first.constructor.name})`,
      {
        index: odd,
      },
    );
  }
  return join(list.map(single));
}

function isTensor(value: unknown): value is Tensor<Float32Array | Float64Array> {
  const { data, shape } = (value ?? {}) as { data?: unknown; shape?: unknown };
  return isFloats(data) && Array.isArray(shape) && shape.every(Number.isInteger);
}

function isFloats(value: unknown): value is Float32Array | Float64Array {
  return value instanceof Float32Array || value instanceof Float64Array;
}

function kindOf(data: Elements): DataType {
  if (data instanceof Float32Array) return DataType.FLOAT32;
  return data instanceof Float64Array ? DataType.FLOAT64 : DataType.INT64;
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
