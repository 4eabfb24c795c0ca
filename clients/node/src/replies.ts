/** Reply messages to results, the replies of several chunks joined. */

import { InternalServerError, TryAgain } from "./errors.js";
import type {
  ClassifyFaceResponse,
  EncodeResponse,
  ResampleWeightsResponse,
} from "./gen/evenface/v1/face_service_pb.js";
import {
  type GetModelResponse,
  type Limits as LimitsMessage,
  type Model,
  ModelFunction,
} from "./gen/evenface/v1/model_service_pb.js";
import { Histogram } from "./histogram.js";
import type {
  Classification,
  ClassifiedImage,
  EncodedImage,
  Encoding,
  Limits,
  ModelDetails,
  ModelInfo,
  ModelRef,
  Weighting,
} from "./results.js";
import { fromMessage, join, row } from "./tensors.js";

const FUNCTIONS: Readonly<Record<number, string>> = {
  [ModelFunction.ENCODE]: "encode",
  [ModelFunction.DECODE]: "decode",
  [ModelFunction.CLASSIFY]: "classify",
  [ModelFunction.COLORIZE]: "colorize",
};

/** Every reply says what served it. */
type Served = Pick<EncodeResponse, "model" | "version" | "manifestDigest">;

/**
 * What served all of the replies.
 *
 * @throws TryAgain as `sameModel`
 */
export function servedBy(replies: readonly Served[]): ModelRef {
  return sameModel(
    replies.map(({ model, version, manifestDigest }) => ({ name: model, version, manifestDigest })),
  );
}

/**
 * The one model that all of these are.
 *
 * @throws TryAgain a new version was taken into service between them, or a version's bundle was
 *   replaced, so that they do not belong together
 */
export function sameModel(models: readonly ModelRef[]): ModelRef {
  const [first] = models;
  if (!first) throw new InternalServerError("no reply");
  const other = models.find(
    (one) => nameOf(one) !== nameOf(first) || one.manifestDigest !== first.manifestDigest,
  );
  if (other) {
    const message = `the model changed during the call, ${changeOf(first, other)}`;
    throw new TryAgain(message, { retryDelayMs: 0, reason: "MODEL_CHANGED" });
  }
  return first;
}

function nameOf({ name, version }: ModelRef): string {
  return `${name}/${version}`;
}

function changeOf(before: ModelRef, after: ModelRef): string {
  const [name, other] = [nameOf(before), nameOf(after)];
  if (name === other) return `${name}: its bundle was replaced; try again`;
  return `${name} to ${other}; name the version, or try again`;
}

/** Join replies of Encode. */
export function encodingFrom(replies: readonly EncodeResponse[]): Encoding {
  type Name = "mean" | "logVariance" | "sample" | "logits" | "probabilities";
  const part = (name: Name) => join(replies.map((reply) => fromMessage(reply[name], Float32Array)));
  const asked = (name: Name) => (replies[0]?.[name] ? part(name) : undefined);
  return {
    mean: part("mean"),
    logVariance: part("logVariance"),
    sample: asked("sample"),
    logits: asked("logits")?.data,
    probabilities: asked("probabilities")?.data,
    model: servedBy(replies),
  };
}

/** Take a reply of a stream apart; each value is a copy, so that none holds the others' memory. */
export function encodedImages(reply: EncodeResponse): EncodedImage[] {
  const { mean, logVariance, sample, logits, probabilities, model } = encodingFrom([reply]);
  return Array.from({ length: mean.shape[0] ?? 0 }, (_, i) => ({
    mean: row(mean, i).slice(),
    logVariance: row(logVariance, i).slice(),
    sample: sample && row(sample, i).slice(),
    logit: logits?.[i],
    probability: probabilities?.[i],
    model,
  }));
}

/** Join replies of ClassifyFace. */
export function classificationFrom(replies: readonly ClassifyFaceResponse[]): Classification {
  const part = (name: "logits" | "probabilities") =>
    join(replies.map((reply) => fromMessage(reply[name], Float32Array))).data;
  return {
    logits: part("logits"),
    probabilities: part("probabilities"),
    isFace: replies.flatMap((reply) => reply.isFace),
    threshold: replies[0]?.threshold ?? Number.NaN,
    model: servedBy(replies),
  };
}

/** Take a reply of a stream apart. */
export function classifiedImages(reply: ClassifyFaceResponse): ClassifiedImage[] {
  const { logits, probabilities, isFace, threshold, model } = classificationFrom([reply]);
  return isFace.map((decision, i) => ({
    logit: logits[i] ?? Number.NaN,
    probability: probabilities[i] ?? Number.NaN,
    isFace: decision,
    threshold,
    model,
  }));
}

/** Read a reply of ResampleWeights. */
export function weightingFrom(reply: ResampleWeightsResponse): Weighting {
  return {
    weights: fromMessage(reply.weights, Float64Array).data,
    histogram: Histogram.fromMessage(reply.histogram),
    effectiveSampleSize: reply.effectiveSampleSize,
    temper: reply.temper,
    logTotal: reply.logTotal,
    model: servedBy([reply]),
  };
}

/** Read the limits. */
export function limitsFrom(limits: LimitsMessage | undefined): Limits {
  return {
    maxItemsPerRequest: limits?.maxItemsPerRequest ?? 0,
    maxMessageBytes: limits?.maxMessageBytes ?? 0,
    maxPixelsPerImage: Number(limits?.maxPixelsPerImage ?? 0),
  };
}

/** Read a model; functions that this client does not know are left out. */
export function modelFrom(model: Model): ModelInfo {
  const { name, version, isDefault, kind, imageSize, channels, latentSize, manifestDigest } = model;
  return {
    ...{ name, version, isDefault, kind, imageSize, channels, latentSize, manifestDigest },
    functions: model.functions.flatMap((value) => FUNCTIONS[value] ?? []),
    attributes: model.attributes,
    decisionThreshold: model.decisionThreshold,
    quality: model.quality,
    provenance: model.provenance,
  };
}

/** Read a model in full. */
export function detailsFrom(reply: GetModelResponse): ModelDetails {
  if (!reply.model) throw new InternalServerError("the reply holds no model");
  const { aggregatePosterior, trainingHistogram } = reply;
  return {
    info: modelFrom(reply.model),
    card: reply.modelCard,
    groups: reply.groups.map(
      ({ column, value, count, truePositiveRate, share, weightedShare }) => ({
        ...{ column, value, count, truePositiveRate, share, weightedShare },
      }),
    ),
    aggregatePosterior: aggregatePosterior && fromMessage(aggregatePosterior, Float64Array),
    trainingHistogram: trainingHistogram && Histogram.fromMessage(trainingHistogram),
    attributes: reply.attributes.map(
      ({ name, auc, positives, negatives, heldOutPositives, heldOutNegatives }) => ({
        ...{ name, auc, positives, negatives, heldOutPositives, heldOutNegatives },
      }),
    ),
  };
}
