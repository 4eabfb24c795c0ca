import assert from "node:assert/strict";
import { InvalidRequest, type Tensor } from "evenface";
import { FILES, it, near, PIXELS, ROOMY, SMALL, withClient } from "./support.js";

/** The same on a server that takes 12 items and 8,192 bytes at once, and on one with room. */
async function both<T>(work: (client: import("evenface").Client) => Promise<T>): Promise<[T, T]> {
  return [await withClient(SMALL, work), await withClient(ROOMY, work)];
}

it("encode in chunks is encode at once", async () => {
  const [parts, whole] = await both((client) =>
    client.encode(PIXELS, { sampleSeed: 3, firstItem: 9 }),
  );
  near(parts.mean.data, whole.mean.data);
  near(parts.logVariance.data, whole.logVariance.data);
  near(parts.sample!.data, whole.sample!.data);
  assert.deepEqual([...parts.mean.shape], [23, 4]);
});

it("classify in chunks is classify at once, for files too", async () => {
  const [parts, whole] = await both((client) => client.classify([...FILES, PIXELS]));
  near(parts.logits, whole.logits);
  assert.deepEqual(parts.isFace, whole.isFace);
});

it("decode in chunks is decode at once, raw and as files", async () => {
  const { latents } = await withClient(ROOMY, (client) => client.sample(23, { seed: 2 }));
  const each = Array.from({ length: 23 }, (_, i) => ({ smiling: i / 10 }));
  for (const attributes of [{ smiling: 1 }, each]) {
    const [parts, whole] = await both((client) => client.decode(latents, { attributes }));
    near(parts.images.data, whole.images.data, 1);
  }
  const [parts, whole] = await both((client) => client.decode(latents, { format: "png" }));
  assert.equal(parts.images.length, whole.images.length);
});

it("sample in chunks is sample at once", async () => {
  const [parts, whole] = await both((client) => client.sample(23, { seed: 8 }));
  assert.deepEqual(parts.latents, whole.latents);
  near(parts.images.data, whole.images.data, 1);
});

it("weights in parts are those of one request", async () => {
  const { mean, edges, histogram } = await withClient(ROOMY, async (client) => {
    const { trainingHistogram } = await client.getModel();
    const { mean } = await client.encode(PIXELS);
    return { mean, edges: trainingHistogram!.edges, histogram: trainingHistogram! };
  });
  const wide: Tensor<Float64Array> = { data: Float64Array.from(mean.data), shape: mean.shape };
  const options = [{}, { edges }, { histogram }, { rule: "paper" }, { bins: 4, smoothing: 0.5 }];
  for (const latents of [mean, wide]) {
    for (const option of options) {
      const [parts, whole] = await both((client) => client.resampleWeights({ latents }, option));
      near(parts.weights, whole.weights, 1e-12);
      near(
        [parts.logTotal, parts.effectiveSampleSize],
        [whole.logTotal, whole.effectiveSampleSize],
        1e-9,
      );
      assert.deepEqual(parts.histogram.edges, whole.histogram.edges);
      assert.deepEqual(parts.histogram.counts.data, whole.histogram.counts.data);
    }
  }
});

it("weights of images and logits in parts are those of one request", async () => {
  const [parts, whole] = await both((client) => client.resampleWeights({ images: PIXELS }));
  near(parts.weights, whole.weights, 1e-5);
  const edges = { data: Float64Array.of(-5, -1, 0, 1, 5), shape: [1, 4 + 1] };
  const options = { rule: "hard", edges };
  const [some, all] = await both((client) => client.resampleWeights({ images: PIXELS }, options));
  near(some.weights, all.weights, 1e-5);
});

it("what needs all items at once is refused where they do not fit", () =>
  withClient(SMALL, async (client) => {
    const { logits } = await client.classify(PIXELS);
    const { mean } = await client.encode(PIXELS);
    const tempered = client.resampleWeights({ latents: mean }, { minEffectiveSampleSize: 0.5 });
    await assert.rejects(tempered, {
      field: "minEffectiveSampleSize",
      message: /23 items; limit \d/,
    });
    await assert.rejects(client.resampleWeights({ logits }, { rule: "hard" }), { field: "edges" });
  }));

it("an image larger than a message is an error of that image", () =>
  withClient(SMALL, async (client) => {
    const large = { data: new Uint8Array(3 * 60 * 60), height: 60, width: 60, channels: 3 };
    await assert.rejects(client.encode([PIXELS, large]), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.match(error.message, /^images\[23\]: 10800 bytes; limit \d+/);
      return true;
    });
  }));
