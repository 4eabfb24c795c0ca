import assert from "node:assert/strict";
import { imageAt, Unavailable } from "evenface";
import { all, it, PIXELS, Server, withClient } from "./support.js";

// Each test takes the servers as the one before has left them.
const [one, two] = await Promise.all([Server.start(), Server.start()]);

it("requests take turns over several servers, and go on when one is killed", () =>
  withClient(`ipv4:${one.address},${two.address}`, async (client) => {
    while (one.calls <= 10 || two.calls <= 10) await client.sample(1);
    const calls = Array.from({ length: 100 }, async (_, i) => {
      await new Promise((resolve) => setTimeout(resolve, 5 * i));
      if (i === 50) await one.end();
      return client.sample(1, { seed: i });
    });
    assert.equal((await Promise.all(calls)).length, 100);
  }));

it("a server that is not there is unavailable", () =>
  withClient(one.address, async (client) => {
    await assert.rejects(client.encode(PIXELS), Unavailable);
    await assert.rejects(all(client.encodeStream(PIXELS)), Unavailable);
    const message = new RegExp(`${one.address} is not ready after 200 ms: `);
    await assert.rejects(client.waitReady({ timeoutMs: 200 }), message);
  }));

it("calls, streams and who waits live through the death of a server and the start of another", () =>
  withClient(two.address, async (client) => {
    async function* images() {
      for (let i = 0; i < 2000; i++) {
        if (i === 1000) {
          await two.end();
          const [again] = await Promise.all([Server.start(two.port), client.waitReady()]);
          assert.equal(again.address, two.address);
        }
        yield imageAt(PIXELS, i % 23);
      }
    }
    const outcomes = await all(client.encodeStream(images()));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.index),
      [...Array(2000).keys()],
    );
    assert.ok(outcomes.every((outcome) => outcome.value));
    await client.encode(PIXELS);
  }));
