/** What each method does: its requests, as many as the limits ask for, and their replies joined. */

import { create, toBinary } from "@bufbuild/protobuf";
import type { Calls } from "./calls.js";
import { chunked, placeOf, spans } from "./chunks.js";
import { InvalidRequest } from "./errors.js";
import { AttributesSchema, type Images as ImagesMessage } from "./gen/evenface/v1/common_pb.js";
import {
  DecodeRequestSchema,
  FaceService,
  SampleRequestSchema,
} from "./gen/evenface/v1/face_service_pb.js";
import { filesFrom, type Images, rawFrom } from "./images.js";
import { classificationFrom, encodingFrom, servedBy } from "./replies.js";
import {
  type Attributes,
  advanced,
  attributeMessages,
  classifyRequest,
  encodeRequest,
  formatOf,
  integerIn,
  type Noise,
  numberIn,
  ofSpan,
  priorOf,
  type Strengths,
  type Wanted,
} from "./requests.js";
import type {
  Classification,
  Decoded,
  Edited,
  Encoding,
  ImageFormat,
  ImagesIn,
  Prior,
  Samples,
} from "./results.js";
import type { Served, Target } from "./served.js";
import {
  asFloat32,
  fromMessage,
  join,
  type Latents,
  latentRows,
  rows,
  type Tensor,
  toMessage,
} from "./tensors.js";

/** How decoded images are to look. */
export interface Look<F extends ImageFormat> {
  /** "raw" when not given. */
  readonly format?: F;
  /** Whether the model's colorizer, where it has one, colours its grey images. */
  readonly color?: boolean;
}

/** What to draw. */
export interface Draw {
  readonly noise: Noise;
  readonly temperature: number | undefined;
  readonly prior: Prior | undefined;
  readonly attributes: Attributes | undefined;
}

/** What to edit; exactly one. */
export type EditSource = { readonly images: Images } | { readonly latents: Latents };

const FLOAT32 = 4;
const MAX_TEMPERATURE = 10;

/** The methods of a client, for one call of it. */
export class Operations {
  constructor(
    readonly calls: Calls,
    readonly served: Served,
    readonly target: Target,
  ) {}

  /** Encode images. */
  async encode(images: Images, wanted: Wanted = {}): Promise<Encoding> {
    const chunks = chunked(images, this.served.encodeBudget(this.target));
    const replies = await this.calls.gather(chunks, (chunk) => {
      const request = encodeRequest(this.target, chunk, wanted);
      return this.calls.unary(FaceService.method.encode, request, placeOf(chunk));
    });
    return encodingFrom(replies);
  }

  /** Classify images. */
  async classify(images: Images, threshold: number | undefined): Promise<Classification> {
    numberIn("threshold", threshold, 0, 1);
    const replies = await this.calls.gather(chunked(images, this.served.budget()), (chunk) => {
      const request = classifyRequest(this.target, chunk, threshold);
      return this.calls.unary(FaceService.method.classifyFace, request, placeOf(chunk));
    });
    return classificationFrom(replies);
  }

  /** Decode latents. */
  async decode<F extends ImageFormat>(
    latents: Latents,
    attributes: Attributes | undefined,
    look: Look<F>,
  ): Promise<Decoded<F>> {
    const all = asFloat32(latentRows(latents));
    const [n = 0, d = 0] = all.shape;
    const named = attributeMessages(attributes, n);
    const largest = named.reduce(
      (most, one) => Math.max(most, toBinary(AttributesSchema, one).length),
      0,
    );
    const item = Math.max(this.#imageBytes(look), d * FLOAT32 + largest);
    const { format = "raw", color = false } = look;
    const parts = spans(n, this.served.budget(item).items);
    const replies = await this.calls.gather(parts, (span) => {
      const request = create(DecodeRequestSchema, {
        ...this.target,
        latents: toMessage(rows(all, span.start, span.end)),
        attributes: ofSpan(named, span),
        format: formatOf(format),
        color,
      });
      return this.calls.unary(FaceService.method.decode, request, { start: span.start });
    });
    return { images: imagesIn(replies, look), model: servedBy(replies) };
  }

  /** Draw faces. */
  async sample<F extends ImageFormat>(
    count: number,
    draw: Draw,
    look: Look<F>,
  ): Promise<Samples<F>> {
    integerIn("count", count, 1);
    const temperature = numberIn("temperature", draw.temperature, 0, MAX_TEMPERATURE);
    const named = attributeMessages(draw.attributes, count);
    const { format = "raw", color = false } = look;
    const [formatted, prior] = [formatOf(format), priorOf(draw.prior)];
    const item = this.#imageBytes(look) + this.served.latentBytes(this.target);
    const parts = spans(count, this.served.budget(item).items);
    const replies = await this.calls.gather(parts, (span) => {
      const request = create(SampleRequestSchema, {
        ...{ ...this.target, prior, color, format: formatted },
        count: span.end - span.start,
        seed: draw.noise.seed,
        firstItem: advanced(draw.noise, span.start),
        ...(temperature === undefined ? {} : { temperature }),
        attributes: ofSpan(named, span),
      });
      return this.calls.unary(FaceService.method.sample, request, { start: span.start });
    });
    const latents = join(replies.map((reply) => fromMessage(reply.latents, Float32Array)));
    return { images: imagesIn(replies, look), latents, model: servedBy(replies) };
  }

  /** Encode images, or take latents, and decode them as they are and changed. */
  async edit<F extends ImageFormat>(
    source: EditSource,
    attributes: Strengths,
    steps: number,
    look: Look<F>,
  ): Promise<Edited<F>> {
    if (Object.keys(attributeMessages(attributes, 1)[0]?.values ?? {}).length === 0) {
      throw new InvalidRequest("attributes", "none were passed; pass at least one");
    }
    integerIn("steps", steps, 1);
    const { latents, same } = await this.#latentsOf(source);
    const before = await same.decode(latents, undefined, look);
    const { name, version } = before.model;
    const pinned = new Operations(this.calls, this.served, { model: name, version });
    const changed: ImagesIn<F>[] = [];
    for (let step = 1; step <= steps; step++) {
      const scaled = Object.entries(attributes).map(([one, value]) => [
        one,
        (value * step) / steps,
      ]);
      const { images } = await pinned.decode(latents, Object.fromEntries(scaled), look);
      changed.push(images);
    }
    return { originals: before.images, steps: changed, latents, model: before.model };
  }

  /** The latents of what is edited, and the model that they are of. */
  async #latentsOf(source: EditSource): Promise<{ latents: Tensor; same: Operations }> {
    const { images, latents } = source as { images?: Images; latents?: Latents };
    if ((images === undefined) === (latents === undefined)) {
      throw new InvalidRequest("images", "pass either images or latents");
    }
    if (latents !== undefined) return { latents: asFloat32(latentRows(latents)), same: this };
    const { mean, model } = await this.encode(images!);
    const target = { model: model.name, version: model.version };
    return { latents: mean, same: new Operations(this.calls, this.served, target) };
  }

  #imageBytes({ format = "raw" as never, color = false }: Look<ImageFormat>): number {
    return this.served.imageBytes(this.target, format, color);
  }
}

function imagesIn<F extends ImageFormat>(
  replies: readonly { images?: ImagesMessage | undefined }[],
  { format }: Look<F>,
): ImagesIn<F> {
  const messages = replies.map((reply) => reply.images);
  const images = (format ?? "raw") === "raw" ? rawFrom(messages) : filesFrom(messages);
  return images as ImagesIn<F>;
}
