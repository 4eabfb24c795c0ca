/** The images that callers pass, checked and brought to the two forms in which images travel. */

import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { InternalServerError, InvalidRequest } from "./errors.js";
import {
  EncodedImagesSchema,
  type Images as ImagesMessage,
  ImagesSchema,
  RawImagesSchema,
} from "./gen/evenface/v1/common_pb.js";

/** Uncompressed images of one size: uint8, N × height × width × channels, C order. */
export interface RawImages {
  /** The pixels of all images after each other; N follows from their number. */
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  /** 3 for RGB, 1 for grey. */
  readonly channels: number;
}

/** Raw images, the bytes of a JPEG, PNG or WebP file, or the path of one (sent as it is). */
export type ImageSource = RawImages | Uint8Array | ArrayBuffer | string | URL;

/** One source, or any number of them, in any sizes; an async iterable is read as it is needed. */
export type Images = ImageSource | Iterable<ImageSource> | AsyncIterable<ImageSource>;

/** One image, ready to travel. */
export interface Item {
  /** The pixels, or an image file. */
  readonly data: Uint8Array;
  /** Of pixels; undefined for a file. */
  readonly shape?: Shape;
  /** Path of the file it came from, where known. */
  readonly source?: string;
}

/** Height, width and channels of an image. */
export type Shape = Omit<RawImages, "data">;

const FIELD = "images";

/**
 * Iterate over what was passed, be it one source or many.
 *
 * @throws InvalidRequest it is neither
 */
export function eachSource(images: Images): AsyncIterator<unknown> | Iterator<unknown> {
  if (isOne(images)) return [images].values();
  const many = images as Partial<Iterable<unknown> & AsyncIterable<unknown>> | null | undefined;
  if (many?.[Symbol.asyncIterator]) return many[Symbol.asyncIterator]!();
  if (many?.[Symbol.iterator]) return many[Symbol.iterator]!();
  throw new InvalidRequest(FIELD, unusable(images));
}

/**
 * Bring one source to the form in which it travels; files are read, not decoded.
 *
 * @param index its number, for errors
 * @returns one item, or N
 * @throws InvalidRequest the source cannot be used, or its file cannot be read
 */
export function coerce(source: unknown, index: number): Item[] | Promise<Item[]> {
  if (source instanceof Uint8Array) return [file(source, index)];
  if (source instanceof ArrayBuffer) return [file(new Uint8Array(source), index)];
  if (typeof source === "string" || source instanceof URL) return read(source, index);
  if (isRaw(source)) return split(source, index);
  throw new InvalidRequest(FIELD, unusable(source), { index });
}

/** Images of one request as a message: all files, or all pixels of one shape. */
export function toMessage(items: readonly Item[]): ImagesMessage {
  const data = items.map((item) => item.data);
  const shape = items[0]?.shape;
  if (!shape) {
    const files = create(EncodedImagesSchema, { data });
    return create(ImagesSchema, { source: { case: "encoded", value: files } });
  }
  const raw = create(RawImagesSchema, {
    ...shape,
    data: data.length === 1 ? data[0]! : join(data),
  });
  return create(ImagesSchema, { source: { case: "raw", value: raw } });
}

/** Raw images of several replies, as one. */
export function rawFrom(messages: readonly (ImagesMessage | undefined)[]): RawImages {
  const parts = messages.map((message) => message?.source).map(pixels);
  const [first] = parts;
  if (!first || parts.some((part) => !sameShape(part, first))) throw broken();
  const { height, width, channels } = first;
  const data = parts.length === 1 ? first.data : join(parts.map((part) => part.data));
  return { data, height, width, channels };
}

/** Image files of several replies, after each other. */
export function filesFrom(messages: readonly (ImagesMessage | undefined)[]): Uint8Array[] {
  return messages.flatMap((message) => {
    if (message?.source.case !== "encoded") throw broken();
    return message.source.value.data;
  });
}

/** Number of raw images. */
export function countOf(images: RawImages): number {
  return images.data.length / sizeOf(images);
}

/** Image i of raw images, without copying. */
export function imageAt(images: RawImages, i: number): RawImages {
  const size = sizeOf(images);
  if (!Number.isInteger(i) || i < 0 || (i + 1) * size > images.data.length) {
    throw new RangeError(`no image ${i} among ${countOf(images)}`);
  }
  const { height, width, channels } = images;
  return { data: images.data.subarray(i * size, (i + 1) * size), height, width, channels };
}

/** Whether two shapes are the same. */
export function sameShape(one: Shape | undefined, other: Shape | undefined): boolean {
  return (
    one?.height === other?.height &&
    one?.width === other?.width &&
    one?.channels === other?.channels
  );
}

function pixels(source: ImagesMessage["source"] | undefined): RawImages {
  if (source?.case !== "raw") throw broken();
  const count = countOf(source.value);
  if (!Number.isInteger(count) || count < 1) throw broken();
  return source.value;
}

function broken(): InternalServerError {
  return new InternalServerError("the reply holds broken images");
}

function sizeOf({ height, width, channels }: Shape): number {
  return height * width * channels;
}

function isOne(images: unknown): images is ImageSource {
  return (
    images instanceof Uint8Array ||
    images instanceof ArrayBuffer ||
    typeof images === "string" ||
    images instanceof URL ||
    isRaw(images)
  );
}

function isRaw(source: unknown): source is RawImages {
  return typeof source === "object" && source !== null && "data" in source && "height" in source;
}

function unusable(source: unknown): string {
  const name =
    source === null
      ? "null"
      : typeof source === "object"
        ? source.constructor?.name
        : typeof source;
  return `${name} is not an image; pass raw images, a path or the bytes of a file`;
}

function file(data: Uint8Array, index: number, source?: string): Item {
  const facts = { index, source };
  if (data.length === 0) throw new InvalidRequest(FIELD, "empty image", facts);
  return source === undefined ? { data } : { data, source };
}

async function read(path: string | URL, index: number): Promise<Item[]> {
  const source = String(path);
  try {
    return [file(await readFile(path), index, source)];
  } catch (error) {
    if (error instanceof InvalidRequest) throw error;
    const problem = (error as NodeJS.ErrnoException).code ?? "cannot be read";
    throw new InvalidRequest(FIELD, PROBLEMS[problem] ?? problem, { index, source, cause: error });
  }
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "is a folder",
  EACCES: "may not be read",
  ENAMETOOLONG: "name too long for a path",
  ERR_INVALID_ARG_VALUE: "is not a path",
};

function split(raw: RawImages, index: number): Item[] {
  const { data, height, width, channels } = raw;
  if (!(data instanceof Uint8Array)) {
    throw new InvalidRequest(FIELD, "data of raw images must be a Uint8Array", { index });
  }
  if (!isSide(height) || !isSide(width) || (channels !== 1 && channels !== 3)) {
    const problem = `${height} × ${width} × ${channels} is not height × width × 1 or 3`;
    throw new InvalidRequest(FIELD, problem, { index });
  }
  const size = sizeOf(raw);
  if (data.length === 0 || data.length % size !== 0) {
    const problem = `${data.length} bytes are no number of ${height} × ${width} × ${channels} images`;
    throw new InvalidRequest(FIELD, problem, { index });
  }
  const shape = { height, width, channels };
  return Array.from({ length: data.length / size }, (_, at) => ({
    data: data.subarray(at * size, (at + 1) * size),
    shape,
  }));
}

function isSide(length: unknown): boolean {
  return Number.isInteger(length) && (length as number) >= 1 && (length as number) < 2 ** 32;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
