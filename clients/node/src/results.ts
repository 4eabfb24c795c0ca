/** What calls return. N = items, D = latent dimensions, S = image size, B = bins. */

import type { EvenfaceClientError } from "./errors.js";
import type { Histogram } from "./histogram.js";
import type { RawImages } from "./images.js";
import type { Tensor } from "./tensors.js";

/** How images are returned: pixels, or one file each. */
export type ImageFormat = "raw" | "png" | "jpeg" | "webp";

/** N images in a format. */
export type ImagesIn<F extends ImageFormat> = F extends "raw" ? RawImages : Uint8Array[];

/** Where `sample` draws from: around the training set's latents, or standard normal. */
export type Prior = "aggregate" | "normal";

/** The model that served a call. */
export interface ModelRef {
  readonly name: string;
  readonly version: string;
  /**
   * SHA-256 of its bundle's manifest, hexadecimal; another where a bundle was replaced under the
   * same version. Empty with servers that do not say it.
   */
  readonly manifestDigest: string;
}

/** Posteriors q(z|x) of N images. */
export interface Encoding {
  /** [N, D]. */
  readonly mean: Tensor;
  /** [N, D], log σ². */
  readonly logVariance: Tensor;
  /** [N, D], mean + σ · ε; undefined where no seed was given. */
  readonly sample: Tensor | undefined;
  /** [N], logit of "face"; undefined where not asked for. */
  readonly logits: Float32Array | undefined;
  /** [N], the logistic function of the logit; likewise. */
  readonly probabilities: Float32Array | undefined;
  readonly model: ModelRef;
}

/** The posterior of one image of a stream; each array is [D]. */
export interface EncodedImage {
  readonly mean: Float32Array;
  /** log σ². */
  readonly logVariance: Float32Array;
  /** mean + σ · ε; undefined where no seed was given. */
  readonly sample: Float32Array | undefined;
  /** Of "face"; undefined where not asked for. */
  readonly logit: number | undefined;
  /** The logistic function of the logit; likewise. */
  readonly probability: number | undefined;
  readonly model: ModelRef;
}

/** Decoded images. */
export interface Decoded<F extends ImageFormat = "raw"> {
  /** N images, S × S. */
  readonly images: ImagesIn<F>;
  readonly model: ModelRef;
}

/** New faces. */
export interface Samples<F extends ImageFormat = "raw"> extends Decoded<F> {
  /** [N, D], what was decoded, before attributes. */
  readonly latents: Tensor;
}

/** Faces before and after some of their attributes were changed. */
export interface Edited<F extends ImageFormat = "raw"> {
  /** The N images encoded and decoded again, unchanged. */
  readonly originals: ImagesIn<F>;
  /** Of each step, the N images changed as far as that step goes. */
  readonly steps: readonly ImagesIn<F>[];
  /** [N, D], the means that all were decoded from. */
  readonly latents: Tensor;
  readonly model: ModelRef;
}

/** Face or not, of N images. */
export interface Classification {
  /** [N], logit of "face". */
  readonly logits: Float32Array;
  /** [N], the logistic function of the logit. */
  readonly probabilities: Float32Array;
  /** [N], probability ≥ threshold. */
  readonly isFace: readonly boolean[];
  /** The probability that was used. */
  readonly threshold: number;
  readonly model: ModelRef;
}

/** Face or not, of one image of a stream. */
export interface ClassifiedImage {
  readonly logit: number;
  readonly probability: number;
  readonly isFace: boolean;
  readonly threshold: number;
  readonly model: ModelRef;
}

/** Resampling weights of N items. */
export interface Weighting {
  /** [N], summing to 1; high for rare items. */
  readonly weights: Float64Array;
  /** What the weights came from. */
  readonly histogram: Histogram;
  /** (Σ w)² / Σ w², between 1 and N. */
  readonly effectiveSampleSize: number;
  /** The exponent t of w^t; 1 where nothing was tempered. */
  readonly temper: number;
  /** Logarithm of the sum of the scores before they were normalised. */
  readonly logTotal: number;
  readonly model: ModelRef;
}

/** What became of one image of a stream: a value or an error, never both. */
export type Outcome<T> = { readonly index: number; readonly source: string | undefined } & (
  | { readonly value: T; readonly error?: undefined }
  | { readonly value?: undefined; readonly error: EvenfaceClientError }
);

/** What the server takes in one request; the client cuts larger inputs to fit. */
export interface Limits {
  /** Images or latents. */
  readonly maxItemsPerRequest: number;
  /** Bytes of a message, request or reply. */
  readonly maxMessageBytes: number;
  /** Width × height. */
  readonly maxPixelsPerImage: number;
}

/** A served model. */
export interface ModelInfo {
  readonly name: string;
  readonly version: string;
  /** Whether it serves calls that name no model. */
  readonly isDefault: boolean;
  /** "cnn", "vae" or "dbvae". */
  readonly kind: string;
  /** S, height and width in pixels that images are resized to. */
  readonly imageSize: number;
  /** 3 for RGB, 1 for grey. */
  readonly channels: number;
  /** D; 0 where the model has no latents. */
  readonly latentSize: number;
  /** What it can do: "encode", "decode", "classify", "colorize". */
  readonly functions: readonly string[];
  /** Names that `attributes` may use with it. */
  readonly attributes: readonly string[];
  /** Probability from which an image counts as a face. */
  readonly decisionThreshold: number;
  /** Figures measured on held-out images, by name. */
  readonly quality: Readonly<Record<string, number>>;
  /** Where and how it was trained, by name. */
  readonly provenance: Readonly<Record<string, string>>;
  /** As in {@link ModelRef}. */
  readonly manifestDigest: string;
}

/** How a model treats one group of held-out faces. */
export interface GroupQuality {
  /** The label column, such as "tone". */
  readonly column: string;
  /** The group's value there. */
  readonly value: string;
  /** Number of held-out faces in the group. */
  readonly count: number;
  /** Share of them recognised as faces; undefined where the model does not classify. */
  readonly truePositiveRate: number | undefined;
  /** Share of the group among the training faces. */
  readonly share: number;
  /** Share of the resampling weight it gets; undefined without latents. */
  readonly weightedShare: number | undefined;
}

/** What the vector of an attribute is worth; counts are of training and of held-out faces. */
export interface AttributeQuality {
  readonly name: string;
  /** Area under the ROC curve of held-out faces; undefined where all are on one side. */
  readonly auc: number | undefined;
  readonly positives: number;
  readonly negatives: number;
  readonly heldOutPositives: number;
  readonly heldOutNegatives: number;
}

/** A served model in full. */
export interface ModelDetails {
  /** What a list of models shows of it. */
  readonly info: ModelInfo;
  /** Its model card, Markdown. */
  readonly card: string;
  /** Quality by group of held-out faces. */
  readonly groups: readonly GroupQuality[];
  /** [2, D], mean and standard deviation of the training set's latents, where it has latents. */
  readonly aggregatePosterior: Tensor<Float64Array> | undefined;
  /** Histogram of those latents. */
  readonly trainingHistogram: Histogram | undefined;
  /** What attribute vectors are worth, where the bundle says so. */
  readonly attributes: readonly AttributeQuality[];
}
