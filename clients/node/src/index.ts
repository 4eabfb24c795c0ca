/** Client of evenface, a gRPC service for face images built on variational autoencoders. */

export type { TLS } from "./channel.js";
export {
  type ClassifyOptions,
  Client,
  type DecodeOptions,
  type EditOptions,
  type EncodeOptions,
  type ModelOptions,
  type SampleOptions,
  type WeightOptions,
} from "./client.js";
export type { CallOptions, ClientOptions } from "./connection.js";
export * from "./errors.js";
export { Histogram } from "./histogram.js";
export { countOf, type ImageSource, type Images, imageAt, type RawImages } from "./images.js";
export type { EditSource } from "./operations.js";
export type { Attributes, Strengths, UInt64 } from "./requests.js";
export type * from "./results.js";
export { type Elements, type Latents, row, type Tensor } from "./tensors.js";
export type { WeightSource } from "./weights.js";
