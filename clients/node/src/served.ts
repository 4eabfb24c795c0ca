/** What a server serves, its limits, and what they let a request hold. */

import { create } from "@bufbuild/protobuf";
import type { Calls } from "./calls.js";
import { type Budget, ITEM_OVERHEAD, MESSAGE_OVERHEAD } from "./chunks.js";
import { ListModelsRequestSchema, ModelService } from "./gen/evenface/v1/model_service_pb.js";
import { limitsFrom, modelFrom } from "./replies.js";
import type { ImageFormat, Limits, ModelInfo } from "./results.js";

/** The model that is asked. */
export interface Target {
  /** Its name; empty for the server's default. */
  readonly model: string;
  /** Its version; empty for the newest. */
  readonly version: string;
}

const FLOAT32 = 4;
const POSTERIOR_TENSORS = 3; // mean, log-variance, sample
const RGB = 3;
const FILE_OVERHEAD = 1024; // an image file may be larger than its pixels by its headers

/** What a server serves, and its limits. */
export class Served {
  constructor(
    readonly models: readonly ModelInfo[],
    readonly limits: Limits,
  ) {}

  /**
   * What a request may hold.
   *
   * @param replyItem bytes that each item takes in the reply
   * @param extra bytes that request and reply hold besides the items
   */
  budget(replyItem = 0, extra = 0): Budget {
    const payload = Math.max(1, this.limits.maxMessageBytes - MESSAGE_OVERHEAD - extra);
    const fitting = Math.floor(payload / (replyItem + ITEM_OVERHEAD));
    return { items: Math.max(1, Math.min(this.limits.maxItemsPerRequest, fitting)), payload };
  }

  /** What a request may hold that is answered with posteriors. */
  encodeBudget(target: Target): Budget {
    return this.budget(POSTERIOR_TENSORS * this.latentBytes(target));
  }

  /** What a request on a stream may hold, whichever the model. */
  streamBudget(): Budget {
    return this.encodeBudget({ model: "", version: "" });
  }

  /** Bytes of an image in a reply; the most of all versions that the target may mean. */
  imageBytes(target: Target, format: ImageFormat, color: boolean): number {
    const extra = format === "raw" ? 0 : FILE_OVERHEAD;
    const sizes = this.#meant(target).map(
      (m) => m.imageSize ** 2 * (color ? RGB : m.channels) + extra,
    );
    return Math.max(0, ...sizes);
  }

  /** Bytes of a latent, as `imageBytes`. */
  latentBytes(target: Target): number {
    return Math.max(0, ...this.#meant(target).map((m) => m.latentSize * FLOAT32));
  }

  #meant(target: Target): ModelInfo[] {
    return this.models.filter((model) => target.model === "" || target.model === model.name);
  }
}

/** What a client has learnt of its server: ListModels is asked once and remembered. */
export class Knowledge {
  #served: Served | undefined;

  /** What the server serves, asked for where it is not known. */
  async served(calls: Calls): Promise<Served> {
    return this.#served ?? (await this.refresh(calls));
  }

  /** Ask the server anew. */
  async refresh(calls: Calls): Promise<Served> {
    const request = create(ListModelsRequestSchema);
    const reply = await calls.unary(ModelService.method.listModels, request);
    this.#served = new Served(reply.models.map(modelFrom), limitsFrom(reply.limits));
    return this.#served;
  }
}
