import assert from "node:assert/strict";
import {
  Cancelled,
  type EncodedImage,
  imageAt,
  NotFound,
  type Outcome,
  type RawImages,
} from "evenface";
import {
  all,
  EXPECTED,
  FILES,
  it,
  near,
  PIXELS,
  PNG,
  ROOMY,
  SLOW,
  SMALL,
  withClient,
} from "./support.js";

function* repeated(count: number): Generator<RawImages, void> {
  for (let i = 0; i < count; i++) yield imageAt(PIXELS, i % 23);
}

function check(outcome: Outcome<EncodedImage>): void {
  assert.ok(outcome.value, String(outcome.error));
  near(outcome.value.mean, EXPECTED.mean[outcome.index % 23]!);
}

it("4,000 images come back in order", () =>
  withClient(ROOMY, async (client) => {
    let next = 0;
    for await (const outcome of client.encodeStream(repeated(4000))) {
      assert.equal(outcome.index, next++);
      check(outcome);
    }
    assert.equal(next, 4000);
  }));

it("bad items in the middle are outcomes, and cost their neighbours nothing", () =>
  withClient(ROOMY, async (client) => {
    const sources = [
      PNG,
      Buffer.from("no image"),
      "/nowhere.png",
      FILES[1]!,
      new Uint8Array(),
      PIXELS,
      7,
    ];
    const outcomes = await all(client.encodeStream(sources as never));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.index),
      [...Array(29).keys()],
    );
    const messages = outcomes.flatMap((outcome) => outcome.error?.message ?? []);
    assert.deepEqual(messages, [
      "images[1]: not a JPEG, PNG or WebP image",
      "images[2] (/nowhere.png): no such file",
      "images[4]: empty image",
      "images[28]: number is not an image; pass raw images, a path or the bytes of a file",
    ]);
    assert.equal(outcomes[2]?.source, "/nowhere.png");
    assert.equal(outcomes[3]?.source, FILES[1]);
    near(outcomes[3]!.value!.mean, EXPECTED.mean[1]!);
    for (let i = 0; i < 23; i++) near(outcomes[5 + i]!.value!.mean, EXPECTED.mean[i]!);
  }));

it("hundreds of bad items in a row do not block those that are good", () =>
  withClient(ROOMY, async (client) => {
    const sources = [PNG, ...Array(600).fill(new Uint8Array()), PNG];
    const outcomes = await all(client.encodeStream(sources));
    assert.equal(outcomes.filter((outcome) => outcome.value).length, 2);
    assert.equal(outcomes.length, 602);
  }));

it("a stream classifies, by the threshold that is given", () =>
  withClient(ROOMY, async (client) => {
    const outcomes = await all(client.classifyStream(PIXELS, { threshold: 0.75 }));
    near(
      outcomes.map((outcome) => outcome.value!.logit),
      EXPECTED.logits,
      1e-4,
    );
    for (const { value } of outcomes) assert.equal(value!.isFace, value!.probability >= 0.75);
  }));

it("samples on a stream are those of encode", () =>
  withClient(ROOMY, async (client) => {
    const { sample } = await client.encode(PIXELS, { sampleSeed: 3, firstItem: 5 });
    const outcomes = await all(client.encodeStream(PIXELS, { sampleSeed: 3, firstItem: 5 }));
    near(
      outcomes.flatMap((outcome) => [...outcome.value!.sample!]),
      sample!.data,
    );
  }));

it("requests of a stream keep to the server's limits", () =>
  withClient(SMALL, async (client) => {
    const large = { data: new Uint8Array(3 * 60 * 60), height: 60, width: 60, channels: 3 };
    const outcomes = await all(client.encodeStream([PIXELS, large, ...FILES]));
    for (const outcome of outcomes.slice(0, 23)) check(outcome);
    assert.match(outcomes[23]!.error!.message, /^images\[23\]: 10800 bytes; limit/);
    near(outcomes[26]!.value!.mean, EXPECTED.mean[2]!);
  }));

it("no image at all is no outcome", () =>
  withClient(ROOMY, async (client) => {
    assert.deepEqual(await all(client.encodeStream([])), []);
  }));

it("a consumer that is slow bounds what is read", () =>
  withClient(ROOMY, async (client) => {
    let read = 0;
    function* counted() {
      for (const image of repeated(3000)) {
        read += 1;
        yield image;
      }
    }
    let taken = 0;
    for await (const outcome of client.encodeStream(counted())) {
      taken += 1;
      if (taken % 500 === 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert.ok(read - taken <= 512, `${read} read, ${taken} taken`);
      }
      check(outcome);
    }
    assert.equal(taken, 3000);
  }));

it("a source that takes its time gets its outcomes meanwhile", () =>
  withClient(ROOMY, async (client) => {
    let taken = 0;
    let wake = () => {};
    async function* live() {
      for (let i = 0; i < 5; i++) {
        yield imageAt(PIXELS, i);
        // The next image comes only when this one has been answered.
        while (taken <= i) await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    for await (const outcome of client.encodeStream(live())) {
      check(outcome);
      taken += 1;
      wake();
    }
    assert.equal(taken, 5);
  }));

it("a source is closed when the stream is left early", () =>
  withClient(ROOMY, async (client) => {
    let closed = 0;
    async function* source() {
      try {
        yield* repeated(5000);
      } finally {
        closed += 1;
      }
    }
    for await (const _ of client.encodeStream(source())) break;
    assert.equal(closed, 1);
    await client.encode(PIXELS);
  }));

it("an error of the source is thrown as it is", () =>
  withClient(ROOMY, async (client) => {
    const error = new Error("the disk is gone");
    function* source() {
      yield* repeated(20);
      throw error;
    }
    await assert.rejects(all(client.encodeStream(source())), error);
  }));

it("what concerns every image is thrown", () =>
  withClient(ROOMY, async (client) => {
    await assert.rejects(all(client.encodeStream(repeated(99), { model: "x" })), NotFound);
    await assert.rejects(all(client.encodeStream(7 as never)), { field: "images" });
  }));

it("a stream ends when its signal says so, even if its source never does", () =>
  withClient(ROOMY, async (client) => {
    const stopping = new AbortController();
    async function* stuck() {
      yield imageAt(PIXELS, 0);
      await new Promise(() => {});
    }
    const reason = new Error("enough");
    const reading = (async () => {
      for await (const outcome of client.encodeStream(stuck(), { signal: stopping.signal })) {
        check(outcome);
        stopping.abort(reason);
      }
    })();
    await assert.rejects(reading, (error) => error instanceof Cancelled && error.cause === reason);
  }));

it("a stream that is cancelled before it has begun throws, and lets its source clean up", () =>
  withClient(ROOMY, async (client) => {
    await client.limits(); // known, so that nothing else is waited for
    const stopping = new AbortController();
    let closed = false;
    const source = {
      [Symbol.asyncIterator]: () => source,
      next: async () => ({ value: imageAt(PIXELS, 0) }),
      return: async () => {
        closed = true;
        return { value: undefined, done: true as const };
      },
    };
    const first = client.encodeStream(source, { signal: stopping.signal }).next();
    stopping.abort();
    await assert.rejects(first, Cancelled);
    assert.ok(closed);
  }));

it("one image after a stream was cancelled before it had begun does not end the process", () =>
  withClient(ROOMY, async (client) => {
    await client.limits();
    const stopping = new AbortController();
    let go: (() => void) | undefined;
    async function* slow() {
      yield imageAt(PIXELS, 0);
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    }
    const first = client.encodeStream(slow(), { signal: stopping.signal }).next();
    stopping.abort();
    await assert.rejects(first, Cancelled);
    go?.();
    await new Promise((resolve) => setImmediate(resolve));
  }));

it("a full queue holds a stream up and does not end it", () =>
  withClient(SLOW, async (client) => {
    const streams = [0, 1, 2].map(() => all(client.encodeStream([PNG, PNG, PNG])));
    for (const outcomes of await Promise.all(streams)) {
      assert.equal(outcomes.filter((outcome) => outcome.value).length, 3);
    }
  }));
