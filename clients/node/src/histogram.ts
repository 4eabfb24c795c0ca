/** Counts of latents per dimension and bin, which add up over shards. */

import { create } from "@bufbuild/protobuf";
import { InvalidRequest } from "./errors.js";
import {
  type LatentHistogram as HistogramMessage,
  LatentHistogramSchema,
} from "./gen/evenface/v1/common_pb.js";
import { fromMessage, type Tensor, toMessage } from "./tensors.js";

/** A histogram of latents; the outer bins are open. */
export class Histogram {
  constructor(
    /** [D, B + 1], increasing in each dimension. */
    readonly edges: Tensor<Float64Array>,
    /** [D, B]; each dimension has the same sum. */
    readonly counts: Tensor<BigInt64Array>,
  ) {}

  /** Number of items. */
  get total(): number {
    const [, bins = 0] = this.counts.shape;
    return Number(this.counts.data.subarray(0, bins).reduce((sum, count) => sum + count, 0n));
  }

  /**
   * The histogram of the items of both.
   *
   * @throws InvalidRequest their edges differ
   */
  merge(other: Histogram): Histogram {
    const [mine, its] = [this.edges, other.edges];
    if (
      String(mine.shape) !== String(its.shape) ||
      mine.data.some((edge, i) => edge !== its.data[i])
    ) {
      throw new InvalidRequest("histogram", "the edges differ; count both with the same edges");
    }
    const data = this.counts.data.map((count, i) => count + other.counts.data[i]!);
    return new Histogram(mine, { data, shape: this.counts.shape });
  }

  /** As a message. */
  toMessage(): HistogramMessage {
    const parts = { edges: toMessage(this.edges), counts: toMessage(this.counts) };
    return create(LatentHistogramSchema, parts);
  }

  /**
   * From a message.
   *
   * @throws InternalServerError its tensors are broken
   */
  static fromMessage(message: HistogramMessage | undefined): Histogram {
    const edges = fromMessage(message?.edges, Float64Array);
    return new Histogram(edges, fromMessage(message?.counts, BigInt64Array));
  }
}
