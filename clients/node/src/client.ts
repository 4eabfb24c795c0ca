/** The client. */

import { create } from "@bufbuild/protobuf";
import { type CallOptions, Connection } from "./connection.js";
import { GetModelRequestSchema, ModelService } from "./gen/evenface/v1/model_service_pb.js";
import type { Images } from "./images.js";
import { type EditSource, type Look, Operations } from "./operations.js";
import { detailsFrom } from "./replies.js";
import {
  type Attributes,
  noiseOf,
  numberIn,
  type Strengths,
  targetOf,
  type UInt64,
  type Wanted,
} from "./requests.js";
import type {
  Classification,
  ClassifiedImage,
  Decoded,
  Edited,
  EncodedImage,
  Encoding,
  ImageFormat,
  Limits,
  ModelDetails,
  ModelInfo,
  Outcome,
  Prior,
  Samples,
  Weighting,
} from "./results.js";
import type { Latents } from "./tensors.js";
import { Weigher, type Weighing, type WeightSource } from "./weights.js";
import { classifyWire, encodeWire } from "./wires.js";

/** What every method that asks a model takes. */
export interface ModelOptions extends CallOptions {
  /** Name of the model; the server's default when not given. */
  readonly model?: string;
  /** Its version; the newest when not given. */
  readonly version?: string;
}

/** Options of `encode` and `encodeStream`. */
export interface EncodeOptions extends ModelOptions {
  /**
   * When given, the result has a sample of each posterior too; that of image i depends on
   * (sampleSeed, firstItem + i) alone.
   */
  readonly sampleSeed?: UInt64;
  /** Number of the first image for the noise. */
  readonly firstItem?: UInt64;
  /** Whether the result says of each image whether it is a face, too. */
  readonly withProbabilities?: boolean;
}

/** Options of `classify` and `classifyStream`. */
export interface ClassifyOptions extends ModelOptions {
  /** Probability from which an image counts as a face; the model's when not given. */
  readonly threshold?: number;
}

/** Options of `decode`. */
export interface DecodeOptions<F extends ImageFormat> extends ModelOptions, Look<F> {
  /** Strength by attribute name, for all items or one object for each. */
  readonly attributes?: Attributes;
}

/** Options of `sample`. */
export interface SampleOptions<F extends ImageFormat> extends DecodeOptions<F> {
  /** Of the noise; face i depends on (seed, firstItem + i) alone. 0 when not given. */
  readonly seed?: UInt64;
  /** Number of the first face. */
  readonly firstItem?: UInt64;
  /** Factor on the noise, 0 to 10; 1 when not given. */
  readonly temperature?: number;
  /** "aggregate" where the model knows it, else "normal", when not given. */
  readonly prior?: Prior;
}

/** Options of `edit`. */
export interface EditOptions<F extends ImageFormat> extends ModelOptions, Look<F> {
  /**
   * Strength by name. Attribute vectors move the latent: 1 makes a typical face without the
   * attribute one with it. A conditional model's decoder is told the value.
   */
  readonly attributes: Strengths;
  /** K, pictures of each face from 1/K of the strengths to all of them; 1 when not given. */
  readonly steps?: number;
}

/** Options of `resampleWeights`. */
export interface WeightOptions extends ModelOptions, Weighing {}

/**
 * Calls an evenface server. One client serves any number of calls at the same time.
 *
 * Inputs past the server's limits are cut into several requests, and the replies are joined as if
 * there had been one. Every error is an `EvenfaceClientError`; see `errors` for the tree.
 */
export class Client extends Connection {
  /** Encode images to the mean and log-variance of their latents. */
  encode(images: Images, options: EncodeOptions = {}): Promise<Encoding> {
    return this.#operate(options, (operations) => operations.encode(images, wantedOf(options)));
  }

  /** Decode latents [N, D], finite, to images. */
  decode<F extends ImageFormat = "raw">(
    latents: Latents,
    options: DecodeOptions<F> = {},
  ): Promise<Decoded<F>> {
    const { attributes } = options;
    return this.#operate(options, (operations) => operations.decode(latents, attributes, options));
  }

  /** Draw new faces. */
  sample<F extends ImageFormat = "raw">(
    count: number,
    options: SampleOptions<F> = {},
  ): Promise<Samples<F>> {
    const { seed = 0, firstItem, temperature, prior, attributes } = options;
    return this.#operate(options, (operations) => {
      const draw = { noise: noiseOf(seed, firstItem), temperature, prior, attributes };
      return operations.sample(count, draw, options);
    });
  }

  /** Change attributes of faces, all alike: encode, move by name and strength, decode. */
  edit<F extends ImageFormat = "raw">(
    source: EditSource,
    options: EditOptions<F>,
  ): Promise<Edited<F>> {
    const { attributes, steps = 1 } = options;
    return this.#operate(options, (operations) =>
      operations.edit(source, attributes, steps, options),
    );
  }

  /** Tell face from non-face. */
  classify(images: Images, options: ClassifyOptions = {}): Promise<Classification> {
    return this.#operate(options, (operations) => operations.classify(images, options.threshold));
  }

  /**
   * Weight items for resampling: high for rare faces, low for common ones. Items past the server's
   * limits are counted in the same bins and judged by one histogram, part by part.
   */
  resampleWeights(source: WeightSource, options: WeightOptions = {}): Promise<Weighting> {
    return this.#operate(options, ({ calls, served, target }) =>
      new Weigher(calls, served, options).weigh(target, source),
    );
  }

  /**
   * Encode any number of images on one stream, in constant memory.
   *
   * Yields one outcome for each image, in order. An image that cannot be used is an outcome with an
   * `InvalidRequest` and does not end the stream. What concerns every image (no such model, no
   * connection) is thrown. A stream that breaks is opened again and goes on where it was, for
   * as long as `timeoutMs` without a reply. At most
   * 512 images or 64 MiB are held, however slowly outcomes are taken.
   */
  encodeStream(
    images: Images,
    options: EncodeOptions = {},
  ): AsyncGenerator<Outcome<EncodedImage>, void> {
    return this.stream(options, encodeWire(targetOf(options), wantedOf(options)), images);
  }

  /** Classify any number of images on one stream; as `encodeStream`. */
  classifyStream(
    images: Images,
    options: ClassifyOptions = {},
  ): AsyncGenerator<Outcome<ClassifiedImage>, void> {
    const threshold = numberIn("threshold", options.threshold, 0, 1);
    return this.stream(options, classifyWire(targetOf(options), threshold), images);
  }

  /** List all models and versions that are served. */
  async listModels(options: CallOptions = {}): Promise<readonly ModelInfo[]> {
    return (await this.run(options, (calls) => this.knowledge.refresh(calls))).models;
  }

  /** The server's limits; asked for once, and again by `listModels`. */
  async limits(options: CallOptions = {}): Promise<Limits> {
    return (await this.run(options, (calls) => this.knowledge.served(calls))).limits;
  }

  /** Describe one model in full: the one that `model` and `version` name. */
  getModel(options: ModelOptions = {}): Promise<ModelDetails> {
    return this.run(options, async (calls) => {
      const request = create(GetModelRequestSchema, targetOf(options));
      return detailsFrom(await calls.unary(ModelService.method.getModel, request));
    });
  }

  #operate<T>(options: ModelOptions, work: (operations: Operations) => Promise<T>): Promise<T> {
    return this.run(options, async (calls) => {
      const target = targetOf(options);
      return work(new Operations(calls, await this.knowledge.served(calls), target));
    });
  }
}

function wantedOf({ sampleSeed, firstItem, withProbabilities }: EncodeOptions): Wanted {
  const noise = sampleSeed === undefined ? undefined : noiseOf(sampleSeed, firstItem);
  return { noise, withProbabilities };
}
