/** What `resampleWeights` does, however many items there are. */

import { create } from "@bufbuild/protobuf";
import type { Calls } from "./calls.js";
import { type Chunk, chunked, payload, placeOf, spans } from "./chunks.js";
import { InvalidRequest } from "./errors.js";
import {
  FaceService,
  type ResampleWeightsRequest,
  ResampleWeightsRequestSchema,
} from "./gen/evenface/v1/face_service_pb.js";
import type { Histogram } from "./histogram.js";
import { type Images, toMessage as imagesMessage } from "./images.js";
import { classificationFrom, encodingFrom, sameModel, weightingFrom } from "./replies.js";
import { classifyRequest, encodeRequest, integerIn, numberIn } from "./requests.js";
import type { Weighting } from "./results.js";
import type { Served, Target } from "./served.js";
import {
  type Latents,
  latentRows,
  logitValues,
  row,
  rows,
  type Tensor,
  toMessage as tensorMessage,
} from "./tensors.js";

/** What is weighted; exactly one. */
export type WeightSource =
  | { readonly images: Images }
  | { readonly latents: Latents }
  | { readonly logits: Float32Array | Float64Array };

/** How items are weighted. */
export interface Weighing {
  /** "lab" (the default) and "paper" read latents, "hard" reads logits. */
  readonly rule?: string;
  /** Bins per dimension without histogram and edges; 10 when not given. */
  readonly bins?: number;
  /** Added to the density; 0.001 when not given. */
  readonly smoothing?: number;
  /** Share of N, 0 to 1, that tempering must reach; needs all items in one request. */
  readonly minEffectiveSampleSize?: number;
  /** Of a larger population, by which rarity is judged; that of the items when not given. */
  readonly histogram?: Histogram;
  /** [D, B + 1], bins to count the items in, so that the histograms of several calls can be merged. */
  readonly edges?: Tensor<Float64Array>;
}

type Rows = Tensor<Float32Array | Float64Array>;
type Items = Chunk | Rows;
type Reference = ResampleWeightsRequest["reference"];

const DEFAULT_BINS = 10;
const HARD_BINS = 1000;
const MAX_BINS = 1000;
const FLOAT64 = 8;

/** Weights images, latents or logits for one caller. */
export class Weigher {
  readonly #calls: Calls;
  readonly #served: Served;
  readonly #weighing: Weighing;

  /** @throws InvalidRequest an option cannot be used */
  constructor(calls: Calls, served: Served, weighing: Weighing) {
    this.#calls = calls;
    this.#served = served;
    this.#weighing = weighing;
    if (weighing.histogram && weighing.edges) {
      throw new InvalidRequest("edges", "cannot be combined with a histogram, which has its own");
    }
    if (weighing.bins !== undefined) integerIn("bins", weighing.bins, 2, MAX_BINS);
    numberIn("smoothing", weighing.smoothing);
    numberIn("minEffectiveSampleSize", weighing.minEffectiveSampleSize, 0, 1);
  }

  /** Weight what a caller passed. */
  async weigh(target: Target, source: WeightSource): Promise<Weighting> {
    const given = Object.entries(source).filter(([, value]) => value !== undefined);
    const [what = "", value] = given.length === 1 ? given[0]! : [];
    if (!["images", "latents", "logits"].includes(what)) {
      throw new InvalidRequest("images", "pass either images, latents or logits");
    }
    if (what === "images") return this.#weighImages(target, value as Images);
    const reads = this.#judges ? "logits" : "latents";
    if (what !== reads) {
      const { rule = "lab" } = this.#weighing;
      throw new InvalidRequest(what, `rule '${rule}' reads ${reads}; pass these or images`);
    }
    return this.#weighRows(target, this.#judges ? logitValues(value) : latentRows(value));
  }

  /** Whether the rule reads logits; the server refuses unknown ones. */
  get #judges(): boolean {
    return this.#weighing.rule === "hard";
  }

  async #weighImages(target: Target, images: Images): Promise<Weighting> {
    const latent = this.#served.latentBytes(target);
    const { items, payload: bytes } = this.#served.encodeBudget(target);
    const histogram = this.#histogramBytes(this.#judges ? 1 : latent / 4);
    const chunks = chunked(images, { items, payload: bytes });
    try {
      const first = (await chunks.next()).value as Chunk;
      const { done, value } = await chunks.next();
      if (done && payload(first) <= bytes - histogram) {
        return weightingFrom(await this.#ask(target, first, this.#reference));
      }
      const all = chain(value ? [first, value] : [first], chunks);
      const found = await (this.#judges ? this.#classify(target, all) : this.#encode(target, all));
      return await this.#weighRows(found.target, found.rows);
    } finally {
      await chunks.return();
    }
  }

  async #encode(
    target: Target,
    chunks: AsyncIterable<Chunk>,
  ): Promise<{ target: Target; rows: Rows }> {
    const { encode } = FaceService.method;
    const replies = await this.#calls.gather(chunks, (chunk) =>
      this.#calls.unary(encode, encodeRequest(target, chunk), placeOf(chunk)),
    );
    const { mean, model } = encodingFrom(replies);
    return { target: { model: model.name, version: model.version }, rows: mean };
  }

  async #classify(
    target: Target,
    chunks: AsyncIterable<Chunk>,
  ): Promise<{ target: Target; rows: Rows }> {
    const { classifyFace } = FaceService.method;
    const replies = await this.#calls.gather(chunks, (chunk) =>
      this.#calls.unary(classifyFace, classifyRequest(target, chunk, undefined), placeOf(chunk)),
    );
    const { logits, model } = classificationFrom(replies);
    const found = { data: logits, shape: [logits.length] };
    return { target: { model: model.name, version: model.version }, rows: found };
  }

  async #weighRows(target: Target, all: Rows): Promise<Weighting> {
    const [n = 0, d = 1] = all.shape;
    const budget = this.#served.budget(d * all.data.BYTES_PER_ELEMENT, this.#histogramBytes(d));
    if (n <= budget.items) return weightingFrom(await this.#ask(target, all, this.#reference));
    const limit = `${n} items; limit ${budget.items}`;
    if (this.#weighing.minEffectiveSampleSize) {
      throw new InvalidRequest(
        "minEffectiveSampleSize",
        `needs all items in one request: ${limit}`,
      );
    }
    const parts = [...spans(n, budget.items)].map(({ start, end }) => rows(all, start, end));
    const histogram = this.#weighing.histogram ?? (await this.#count(target, all, parts, limit));
    return this.#join(await this.#weighParts(target, parts, against(histogram)), histogram);
  }

  /** The histogram of all items: they are counted in the same bins, part by part. */
  async #count(
    target: Target,
    all: Rows,
    parts: readonly Rows[],
    limit: string,
  ): Promise<Histogram> {
    const { edges } = this.#weighing;
    if (!edges && this.#judges) {
      throw new InvalidRequest(
        "edges",
        `pass edges or a histogram, as not all fit one request: ${limit}`,
      );
    }
    const bins = edges ?? equalEdges(all, this.#weighing.bins ?? DEFAULT_BINS);
    const reference: Reference = { case: "edges", value: tensorMessage(bins) };
    const counted = await this.#weighParts(target, parts, reference);
    return counted.map((part) => part.histogram).reduce((sum, next) => sum.merge(next));
  }

  #weighParts(target: Target, parts: readonly Rows[], reference: Reference): Promise<Weighting[]> {
    return this.#calls.gather(parts, async (part) =>
      weightingFrom(await this.#ask(target, part, reference)),
    );
  }

  /** The weights of all items, from those of parts that were judged by the same histogram. */
  #join(parts: readonly Weighting[], histogram: Histogram): Weighting {
    const model = sameModel(parts.map((part) => part.model));
    const highest = Math.max(...parts.map((part) => part.logTotal));
    const factors = parts.map((part) => Math.exp(part.logTotal - highest));
    const sum = factors.reduce((total, factor) => total + factor, 0);
    const weights = new Float64Array(parts.reduce((total, part) => total + part.weights.length, 0));
    let at = 0;
    for (const [i, part] of parts.entries()) {
      for (const weight of part.weights) weights[at++] = (weight * factors[i]!) / sum;
    }
    const squares = weights.reduce((total, weight) => total + weight * weight, 0);
    const logTotal = highest + Math.log(sum);
    return { weights, histogram, effectiveSampleSize: 1 / squares, temper: 1, logTotal, model };
  }

  #ask(target: Target, items: Items, reference: Reference) {
    const { rule = "", bins, smoothing, minEffectiveSampleSize = 0 } = this.#weighing;
    const request = create(ResampleWeightsRequestSchema, {
      ...{ ...target, rule, minEffectiveSampleSize, reference },
      ...(bins === undefined ? {} : { bins }),
      ...(smoothing === undefined ? {} : { smoothing }),
      source: sourceOf(items),
    });
    const place = "items" in items ? placeOf(items) : undefined;
    return this.#calls.unary(FaceService.method.resampleWeights, request, place);
  }

  /** What a caller passed to judge by. */
  get #reference(): Reference {
    const { histogram, edges } = this.#weighing;
    if (histogram) return against(histogram);
    return edges ? { case: "edges", value: tensorMessage(edges) } : { case: undefined };
  }

  /** Bytes that the histogram of `size` dimensions takes in a message. */
  #histogramBytes(size: number): number {
    const { histogram, edges, bins } = this.#weighing;
    const own = bins ?? (this.#judges ? HARD_BINS : DEFAULT_BINS);
    const count = histogram?.counts.shape[1] ?? (edges ? (edges.shape[1] ?? 1) - 1 : own);
    return size * (2 * count + 1) * FLOAT64;
  }
}

function sourceOf(items: Items): ResampleWeightsRequest["source"] {
  if ("items" in items) return { case: "images", value: imagesMessage(items.items) };
  return { case: items.shape.length === 1 ? "logits" : "latents", value: tensorMessage(items) };
}

function against(histogram: Histogram): Reference {
  return { case: "histogram", value: histogram.toMessage() };
}

/** float64 [D, B + 1]: equal bins from the least to the greatest value, as the server makes them. */
function equalEdges(all: Rows, bins: number): Tensor<Float64Array> {
  const [n = 0, d = 0] = all.shape;
  const low = new Float64Array(d).fill(Number.POSITIVE_INFINITY);
  const high = new Float64Array(d).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < n; i++) {
    for (const [k, value] of row(all, i).entries()) {
      low[k] = Math.min(low[k]!, value);
      high[k] = Math.max(high[k]!, value);
    }
  }
  const data = new Float64Array(d * (bins + 1));
  for (let k = 0; k < d; k++) {
    const [start, end] = widened(low[k]!, high[k]!);
    for (let b = 0; b <= bins; b++) data[k * (bins + 1) + b] = start + b * ((end - start) / bins);
    data[k * (bins + 1) + bins] = end;
  }
  return { data, shape: [d, bins + 1] };
}

/** Bins need a width where all values are the same. */
function widened(low: number, high: number): [number, number] {
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

async function* chain<T>(first: readonly T[], rest: AsyncIterable<T>): AsyncGenerator<T, void> {
  yield* first;
  yield* rest;
}
