import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import {
  Client,
  countOf,
  Histogram,
  InvalidRequest,
  imageAt,
  NotFound,
  row,
  Unsupported,
} from "evenface";
import { EXPECTED, FILES, it, near, nearRows, PIXELS, PNG, ROOMY, withClient } from "./support.js";

it("encode gives the means and log-variances of the model", () =>
  withClient(ROOMY, async (client) => {
    const found = await client.encode(PIXELS);
    nearRows(found.mean, EXPECTED.mean);
    nearRows(found.logVariance, EXPECTED.logVariance);
    assert.equal(found.sample, undefined);
    const { manifestDigest } = (await client.getModel({ model: "faces" })).info;
    assert.match(manifestDigest, /^[0-9a-f]{64}$/);
    assert.deepEqual(found.model, { name: "faces", version: "1", manifestDigest });
  }));

it("encode says of each image whether it is a face, where it is asked to", () =>
  withClient(ROOMY, async (client) => {
    const found = await client.encode(PIXELS, { withProbabilities: true });
    const verdict = await client.classify(PIXELS);
    assert.deepEqual(found.logits, verdict.logits);
    assert.deepEqual(found.probabilities, verdict.probabilities);
    const streamed: (number | undefined)[] = [];
    for await (const { value } of client.encodeStream(PIXELS, { withProbabilities: true })) {
      streamed.push(value?.probability);
    }
    assert.deepEqual(streamed, [...verdict.probabilities]);
  }));

it("files, their bytes, paths, URLs and raw images are the same images", () =>
  withClient(ROOMY, async (client) => {
    const [path] = FILES;
    const buffer = PNG.buffer.slice(PNG.byteOffset, PNG.byteOffset + PNG.length) as ArrayBuffer;
    const sources = [
      PNG,
      buffer,
      path!,
      pathToFileURL(path!),
      imageAt(PIXELS, 0),
      readFileSync(path!),
    ];
    const { mean } = await client.encode(sources);
    for (let i = 0; i < sources.length; i++) near(row(mean, i), EXPECTED.mean[0]!);
    const { logits } = await client.classify(FILES);
    near(logits, EXPECTED.logits.slice(0, 3), 1e-4);
  }));

it("an async iterable of images can be encoded too", () =>
  withClient(ROOMY, async (client) => {
    async function* read() {
      for (const path of FILES) yield readFileSync(path);
    }
    nearRows((await client.encode(read())).mean, EXPECTED.mean.slice(0, 3));
  }));

it("samples depend on seed and number alone, up to the largest seed", () =>
  withClient(ROOMY, async (client) => {
    const seed = 2n ** 64n - 1n;
    const whole = await client.sample(5, { seed });
    const last = await client.sample(2, { seed, firstItem: 3 });
    assert.deepEqual(row(whole.latents, 3), row(last.latents, 0));
    assert.deepEqual(imageAt(whole.images, 4), imageAt(last.images, 1));
    const other = await client.sample(5, { seed: Number.MAX_SAFE_INTEGER });
    const same = await client.sample(5, { seed: BigInt(Number.MAX_SAFE_INTEGER) });
    assert.deepEqual(other.latents.data, same.latents.data);
    assert.notDeepEqual(other.latents.data, whole.latents.data);
  }));

it("a posterior sample depends on its seed", () =>
  withClient(ROOMY, async (client) => {
    const whole = await client.encode(PIXELS, { sampleSeed: 7 });
    const last = await client.encode(imageAt(PIXELS, 20), { sampleSeed: 7n, firstItem: 20n });
    assert.ok(whole.sample && last.sample);
    near(row(whole.sample, 20), row(last.sample, 0));
    assert.notDeepEqual(whole.sample.data, whole.mean.data);
  }));

it("images come back raw, or as files that are images again", () =>
  withClient(ROOMY, async (client) => {
    const { latents, images } = await client.sample(3, { seed: 1 });
    assert.equal(countOf(images), 3);
    assert.equal(images.data.length, 3 * 16 * 16 * 3);
    const { mean } = await client.encode(images);
    for (const format of ["png", "webp", "jpeg"] as const) {
      const decoded = await client.decode(latents, { format });
      assert.equal(decoded.images.length, 3);
      const again = await client.encode(decoded.images);
      near(again.mean.data, mean.data, format === "png" ? 1e-5 : 0.1);
    }
  }));

it("latents are a tensor, an array of rows, or a single one", () =>
  withClient(ROOMY, async (client) => {
    const { latents } = await client.sample(3);
    const whole = await client.decode(latents);
    const rows = await client.decode([row(latents, 0), row(latents, 1), row(latents, 2)]);
    assert.deepEqual(rows.images, whole.images);
    const one = await client.decode(Float64Array.from(row(latents, 2)));
    assert.deepEqual(one.images.data, imageAt(whole.images, 2).data);
  }));

it("edit moves faces in steps from what they are", () =>
  withClient(ROOMY, async (client) => {
    const options = { attributes: { smiling: 1 }, steps: 4 };
    const edited = await client.edit({ images: PIXELS }, options);
    assert.equal(edited.steps.length, 4);
    const { mean } = await client.encode(PIXELS);
    near(edited.latents.data, mean.data);
    const plain = await client.decode(edited.latents);
    near(edited.originals.data, plain.images.data, 1);
    const half = await client.decode(edited.latents, { attributes: { smiling: 0.5 } });
    near(edited.steps[1]!.data, half.images.data, 1);
    assert.notDeepEqual(edited.steps[3]!.data, edited.originals.data);
    const latents = await client.edit({ latents: mean }, { ...options, format: "png" });
    assert.equal(latents.steps[3]!.length, 23);
  }));

it("each item may have attributes of its own", () =>
  withClient(ROOMY, async (client) => {
    const { latents } = await client.sample(2);
    const found = await client.decode(latents, { attributes: [{}, { smiling: 1 }] });
    const plain = await client.decode(latents);
    assert.deepEqual(imageAt(found.images, 0), imageAt(plain.images, 0));
    assert.notDeepEqual(imageAt(found.images, 1).data, imageAt(plain.images, 1).data);
  }));

it("classify gives logits, probabilities and decisions at a threshold", () =>
  withClient(ROOMY, async (client) => {
    const found = await client.classify(PIXELS, { threshold: 0.75 });
    near(found.logits, EXPECTED.logits, 1e-4);
    near(
      found.probabilities,
      EXPECTED.logits.map((logit) => 1 / (1 + Math.exp(-logit))),
    );
    assert.deepEqual(
      found.isFace,
      [...found.probabilities].map((p) => p >= 0.75),
    );
    assert.equal(found.threshold, 0.75);
    assert.ok(found.isFace.includes(true) && found.isFace.includes(false));
  }));

it("weights add up to one, from images, latents and logits", () =>
  withClient(ROOMY, async (client) => {
    const { mean } = await client.encode(PIXELS);
    const { logits } = await client.classify(PIXELS);
    const images = await client.resampleWeights({ images: PIXELS });
    const latents = await client.resampleWeights(
      { latents: mean },
      { minEffectiveSampleSize: 0.99 },
    );
    const judged = await client.resampleWeights({ logits }, { rule: "hard" });
    near((await client.resampleWeights({ latents: mean })).weights, images.weights, 1e-6);
    for (const { weights, histogram } of [images, latents, judged]) {
      near([weights.reduce((sum, weight) => sum + weight)], [1], 1e-12);
      assert.equal(histogram.total, 23);
    }
    assert.ok(latents.effectiveSampleSize >= 0.99 * 23 - 1e-6 && latents.temper < 1);
    assert.deepEqual([...judged.histogram.counts.shape], [1, 1000]);
  }));

it("histograms of shards add up to that of all", () =>
  withClient(ROOMY, async (client) => {
    const { mean } = await client.encode(PIXELS);
    const { trainingHistogram } = await client.getModel();
    assert.ok(trainingHistogram);
    const { edges } = trainingHistogram;
    const shards = [mean.data.subarray(0, 40), mean.data.subarray(40)].map((data) => ({
      data,
      shape: [data.length / 4, 4],
    }));
    const [one, two] = await Promise.all(
      shards.map((latents) => client.resampleWeights({ latents }, { edges })),
    );
    const whole = await client.resampleWeights({ latents: mean }, { edges });
    const merged = one!.histogram.merge(two!.histogram);
    assert.deepEqual(merged.counts.data, whole.histogram.counts.data);
    const { counts } = merged;
    const shifted = { data: edges.data.map((edge) => edge + 1), shape: edges.shape };
    assert.throws(() => merged.merge(new Histogram(shifted, counts)), InvalidRequest);
  }));

it("models, limits and details are told", () =>
  withClient(ROOMY, async (client) => {
    const models = await client.listModels();
    assert.deepEqual(
      models.map((model) => model.name),
      ["faces", "judge"],
    );
    assert.deepEqual(models[0]?.functions, ["encode", "decode", "classify"]);
    assert.equal((await client.limits()).maxItemsPerRequest, 1024);
    const { info, card, attributes, aggregatePosterior } = await client.getModel({
      model: "faces",
    });
    assert.equal(info.latentSize, 4);
    assert.match(card, /tiny model/);
    assert.equal(attributes[0]?.name, "smiling");
    assert.deepEqual([...aggregatePosterior!.shape], [2, 4]);
  }));

it("what cannot be used is refused, with field and item", () =>
  withClient(ROOMY, async (client) => {
    const good = imageAt(PIXELS, 0);
    const latent = new Float32Array(4);
    const cases: [() => Promise<unknown>, RegExp][] = [
      [() => client.encode([]), /^images: none were passed/],
      [() => client.encode(new Uint8Array()), /^images\[0\]: empty image/],
      [() => client.encode([good, Buffer.alloc(0)]), /^images\[1\]: empty image/],
      [
        () => client.encode([PNG, Buffer.from("no image")]),
        /^images\[1\]: not a JPEG, PNG or WebP/,
      ],
      [() => client.encode([good, { ...good, channels: 4 }]), /^images\[1\]: 16 × 16 × 4 is not/],
      [() => client.encode({ ...good, width: 15 }), /^images\[0\]: 768 bytes are no number of/],
      [() => client.encode({ ...good, height: 0.5 }), /^images\[0\]: 0.5 × 16 × 3 is not/],
      [() => client.encode({ ...good, data: [1] as never }), /must be a Uint8Array/],
      [() => client.encode(7 as never), /^images: number is not an image/],
      [() => client.encode(null as never), /^images: null is not an image/],
      [() => client.encode(["/nowhere/a.png"]), /^images\[0\] \(\/nowhere\/a.png\): no such file/],
      [() => client.encode(["/"]), /is a folder/],
      [() => client.encode("a\0b"), /is not a path/],
      [() => client.encode(good, { sampleSeed: -1 }), /^seed: -1 is outside 0 to 2\^64 - 1/],
      [() => client.encode(good, { sampleSeed: 2 ** 53 }), /pass a bigint/],
      [() => client.encode(good, { sampleSeed: 2n ** 64n }), /^seed: 18446744073709551616 is/],
      [() => client.sample(2, { firstItem: 1.5 }), /^firstItem: 1.5 is no integer/],
      [() => client.sample(1e4, { firstItem: 2n ** 64n - 5n }), /^firstItem: .* outside/],
      [() => client.sample(0), /^count: 0 is no integer from 1/],
      [() => client.sample(Number.NaN), /^count: NaN/],
      [() => client.sample(1, { temperature: 99 }), /^temperature: 99 is outside 0 to 10/],
      [
        () => client.sample(1, { prior: "none" as never }),
        /^prior: 'none' is unknown; known: normal/,
      ],
      [() => client.sample(1, { format: "gif" as never }), /^format: 'gif' is unknown/],
      [() => client.sample(1, { attributes: { smiling: Number.NaN } }), /^attributes.smiling: NaN/],
      [
        () => client.sample(1, { attributes: { smiling: "1" as never } }),
        /^attributes.smiling: 1 is/,
      ],
      [() => client.sample(3, { attributes: [{}, {}] }), /^attributes: 2 for 3 items/],
      [() => client.sample(1, { attributes: { no: 1 } }), /^attributes\[0\]: 'no' is unknown/],
      [
        () => client.decode([latent, Float32Array.of(1, Number.NaN, 0, 0)]),
        /^latents\[1\]: holds NaN/,
      ],
      [() => client.decode([latent, new Float32Array(3)]), /^latents\[1\]: 3 numbers/],
      [
        () => client.decode({ data: latent, shape: [2, 4] }),
        /^latents: shape \[2,4\] of 4 numbers/,
      ],
      [() => client.decode({ data: latent, shape: [4] }), /is not \[N, D\]/],
      [() => client.decode(new Float32Array(3)), /^latents: shape 1×3 is not N×4/],
      [() => client.decode([]), /^latents: none were passed/],
      [() => client.decode([1, 2] as never), /^latents: pass a tensor/],
      [() => client.classify(good, { threshold: 2 }), /^threshold: 2 is outside 0 to 1/],
      [() => client.edit({ latents: latent }, { attributes: {} }), /^attributes: none/],
      [() => client.edit({} as never, { attributes: { smiling: 1 } }), /pass either images or/],
      [() => client.resampleWeights({} as never), /pass either images, latents or logits/],
      [() => client.resampleWeights({ latents: latent }, { rule: "hard" }), /reads logits/],
      [() => client.resampleWeights({ latents: latent }, { rule: "no" }), /^rule: /],
      [() => client.resampleWeights({ latents: latent }, { bins: 1 }), /^bins: 1/],
      [() => client.resampleWeights({ latents: latent }, { smoothing: -1 }), /^smoothing: /],
      [() => client.encode(good, { timeoutMs: 0 }), /^timeoutMs: 0 is not above 0/],
      [() => client.encode(good, { timeoutMs: Number.NaN }), /^timeoutMs: NaN/],
      [() => client.encode(good, { model: 5 as never }), /^model: 5 is no text/],
    ];
    for (const [call, message] of cases) {
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof InvalidRequest, `${error} for ${message}`);
        assert.match(error.message, message);
        assert.equal(error.reason, "INVALID_INPUT");
        return true;
      });
    }
    assert.throws(() => client.encodeStream(good, { sampleSeed: -1 }), InvalidRequest);
    assert.throws(() => client.classifyStream(good, { threshold: -1 }), InvalidRequest);
    nearRows((await client.encode(good)).mean, EXPECTED.mean.slice(0, 1));
  }));

it("errors of the server have a class, a reason, a code and the id of the request", () =>
  withClient(
    ROOMY,
    async (client) => {
      const facts = { code: "NOT_FOUND", reason: "MODEL_NOT_FOUND", requestId: "job-7" };
      await assert.rejects(client.encode(PIXELS, { model: "x" }), { name: "NotFound", ...facts });
      await assert.rejects(client.getModel({ model: "x" }), NotFound);
      await assert.rejects(client.getModel({ version: "9" }), NotFound);
      await assert.rejects(client.encode(PIXELS, { model: "judge" }), Unsupported);
      await assert.rejects(client.sample(1, { color: true }), Unsupported);
      const bad = client.encode([PNG, Buffer.from("bad")]);
      await assert.rejects(bad, { field: "images", index: 1, code: "INVALID_ARGUMENT" });
    },
    { requestId: () => "job-7" },
  ));

it("two clients and many calls at once do not disturb each other", () =>
  withClient(ROOMY, (one) =>
    withClient(ROOMY, async (two) => {
      const calls = Array.from({ length: 40 }, (_, i) =>
        (i % 2 ? one : two).sample(2, { seed: i }),
      );
      const found = await Promise.all(calls);
      for (const [i, { latents }] of found.entries()) {
        assert.deepEqual(latents.data, (await one.sample(2, { seed: i })).latents.data);
      }
    }),
  ));

it("settings are checked", () => {
  for (const [server, options, message] of [
    ["", {}, /^server: empty address/],
    ["\n", {}, /^server: .* is no address/s],
    [ROOMY, { retries: 5 }, /^retries: 5 is outside 0 to 4/],
    [ROOMY, { tls: { key: "k.pem" } }, /certificate and key belong together/],
    [ROOMY, { tls: { ca: "/nowhere.pem" } }, /^tls.ca \(\/nowhere.pem\): ENOENT/],
    [ROOMY, { tls: { certificate: Buffer.from("x"), key: Buffer.from("y") } }, /^tls: /],
    ["10.0.0.1:1", { token: "abc" }, /^token: would travel to 10.0.0.1:1 in plain text/],
    [ROOMY, { token: "a b" }, /^token: must be ASCII/],
  ] as const) {
    assert.throws(
      () => new Client(server, options),
      (error: unknown) => {
        assert.ok(error instanceof InvalidRequest);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});
