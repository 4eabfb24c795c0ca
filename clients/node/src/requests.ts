/** Arguments to parts of messages, checked. Sends nothing. */

import { create } from "@bufbuild/protobuf";
import type { Chunk, Span } from "./chunks.js";
import { InvalidRequest } from "./errors.js";
import {
  type Attributes as AttributesMessage,
  AttributesSchema,
  ImageFormat as Format,
} from "./gen/evenface/v1/common_pb.js";
import {
  type ClassifyFaceRequest,
  ClassifyFaceRequestSchema,
  type EncodeRequest,
  EncodeRequestSchema,
  SamplePrior,
} from "./gen/evenface/v1/face_service_pb.js";
import { toMessage } from "./images.js";
import type { ImageFormat, Prior } from "./results.js";
import type { Target } from "./served.js";
import type { Place } from "./status.js";

/** Strength by attribute name. */
export type Strengths = Readonly<Record<string, number>>;

/** Strength by attribute name, for all items or one for each. */
export type Attributes = Strengths | readonly Strengths[];

/** A number of 64 bits without a sign: a bigint, or an integer that a number holds exactly. */
export type UInt64 = number | bigint;

/** Seeded noise: item i of a call depends on (seed, first + i) alone. */
export interface Noise {
  readonly seed: bigint;
  readonly first: bigint;
}

/** What is wanted of images beside mean and log-variance. */
export interface Wanted {
  /** Of a sample of each posterior; none for no samples. */
  readonly noise?: Noise | undefined;
  /** Whether to tell faces from other images, too. */
  readonly withProbabilities?: boolean | undefined;
}

const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_UINT32 = 2 ** 32 - 1;
const MAX_FLOAT32 = 3.4028234663852886e38;
const FORMATS: Readonly<Record<ImageFormat, Format>> = {
  raw: Format.RAW,
  png: Format.PNG,
  jpeg: Format.JPEG,
  webp: Format.WEBP,
};
const PRIORS: Readonly<Record<Prior, SamplePrior>> = {
  normal: SamplePrior.STANDARD_NORMAL,
  aggregate: SamplePrior.AGGREGATE_POSTERIOR,
};

/** The model that is asked. */
export function targetOf(options: {
  model?: string | undefined;
  version?: string | undefined;
}): Target {
  const { model = "", version = "" } = options;
  for (const [field, value] of Object.entries({ model, version })) {
    if (typeof value !== "string") throw new InvalidRequest(field, `${value} is no text`);
  }
  return { model, version };
}

/** Seeded noise. */
export function noiseOf(seed: UInt64, first: UInt64 | undefined): Noise {
  return { seed: uint64("seed", seed), first: uint64("firstItem", first ?? 0n) };
}

/** A format as it travels. */
export function formatOf(format: ImageFormat): Format {
  return known("format", FORMATS, format);
}

/** A prior as it travels. */
export function priorOf(prior: Prior | undefined): SamplePrior {
  return prior === undefined ? SamplePrior.UNSPECIFIED : known("prior", PRIORS, prior);
}

/** A finite number within limits; nothing where none is given. */
export function numberIn(
  field: string,
  value: number | undefined,
  low = -MAX_FLOAT32,
  high = MAX_FLOAT32,
): number | undefined {
  if (value === undefined) return undefined;
  // NaN is neither.
  if (typeof value !== "number" || !(value >= low && value <= high)) {
    const limits = low === -MAX_FLOAT32 ? "no finite number" : `outside ${low} to ${high}`;
    throw new InvalidRequest(field, `${value} is ${limits}`);
  }
  return value;
}

/** An integer within limits. */
export function integerIn(field: string, value: number, low: number, high = MAX_UINT32): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new InvalidRequest(field, `${value} is no integer from ${low} to ${high}`);
  }
  return value;
}

/**
 * Attributes as messages: none, one for all items, or one for each.
 *
 * @throws InvalidRequest their number does not fit, or a value is no number
 */
export function attributeMessages(
  attributes: Attributes | undefined,
  count: number,
): AttributesMessage[] {
  if (attributes === undefined) return [];
  const each = (Array.isArray(attributes) ? attributes : [attributes]) as readonly Strengths[];
  if (each.length !== 1 && each.length !== count) {
    throw new InvalidRequest(
      "attributes",
      `${each.length} for ${count} items; pass one or ${count}`,
    );
  }
  return each.map((strengths) => {
    if (typeof strengths !== "object" || strengths === null) {
      throw new InvalidRequest("attributes", `${strengths} is no object of names with numbers`);
    }
    for (const [name, value] of Object.entries(strengths)) numberIn(`attributes.${name}`, value);
    return create(AttributesSchema, { values: { ...strengths } });
  });
}

/** The attributes of the items of a span. */
export function ofSpan(attributes: AttributesMessage[], span: Span): AttributesMessage[] {
  return attributes.length <= 1 ? attributes : attributes.slice(span.start, span.end);
}

/** Where the items of a span are. */
export function placeOfSpan(span: Span): Place {
  return { start: span.start };
}

/** A request of Encode or EncodeStream. */
export function encodeRequest(
  target: Target,
  chunk: Chunk,
  { noise, withProbabilities = false }: Wanted = {},
): EncodeRequest {
  const images = toMessage(chunk.items);
  const request = create(EncodeRequestSchema, { ...target, images, withProbabilities });
  if (noise) {
    request.sampleSeed = noise.seed;
    request.firstItem = advanced(noise, chunk.start);
  }
  return request;
}

/** A request of ClassifyFace or ClassifyFaceStream. */
export function classifyRequest(
  target: Target,
  chunk: Chunk,
  threshold: number | undefined,
): ClassifyFaceRequest {
  const request = create(ClassifyFaceRequestSchema, { ...target, images: toMessage(chunk.items) });
  if (threshold !== undefined) request.threshold = threshold;
  return request;
}

/** Number of an item for the noise. */
export function advanced(noise: Noise, items: number): bigint {
  return uint64("firstItem", noise.first + BigInt(items));
}

function uint64(field: string, value: UInt64): bigint {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) {
    throw new InvalidRequest(
      field,
      `${value} is no integer that a number holds exactly; pass a bigint`,
    );
  }
  const whole = BigInt(value);
  if (whole < 0n || whole > MAX_UINT64) {
    throw new InvalidRequest(field, `${whole} is outside 0 to 2^64 - 1`);
  }
  return whole;
}

function known<V>(field: string, values: Readonly<Record<string, V>>, name: string): V {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) {
    throw new InvalidRequest(
      field,
      `'${name}' is unknown; known: ${Object.keys(values).join(", ")}`,
    );
  }
  return value;
}
