import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type AddressInfo, connect, createServer } from "node:net";
import { Metadata, status } from "@grpc/grpc-js";
import {
  Cancelled,
  Client,
  DeadlineExceeded,
  InternalServerError,
  Overloaded,
  Unsupported,
} from "evenface";
import { all, file, it, PIXELS, PNG, ROOMY, SLOW, withClient, withFlaky } from "./support.js";

/** A refusal that asks for the next try after some milliseconds. */
function pushback(code: status, milliseconds: string) {
  const metadata = new Metadata();
  metadata.set("grpc-retry-pushback-ms", milliseconds);
  return { code, metadata };
}

it("a call is tried again until it is answered", async () => {
  for (const code of [status.UNAVAILABLE, status.RESOURCE_EXHAUSTED, status.CANCELLED]) {
    let left = 2;
    const treat = () => (left-- > 0 ? pushback(code, "1") : undefined);
    await withFlaky(treat, async (address, calls) => {
      await withClient(address, (client) => client.listModels());
      assert.equal(calls.length, 3);
    });
  }
});

it("a call is tried again no more often than was set, nor against the server's will", async () => {
  for (const [retries, milliseconds, attempts] of [
    [0, "1", 1],
    [2, "1", 3],
    [3, "-1", 1],
  ] as const) {
    const treat = () => pushback(status.RESOURCE_EXHAUSTED, milliseconds);
    await withFlaky(treat, async (address, calls) => {
      const asking = withClient(address, (client) => client.listModels(), { retries });
      await assert.rejects(asking, Overloaded);
      assert.equal(calls.length, attempts);
    });
  }
});

it("retries end at the deadline, however long the server asks to wait", () =>
  withFlaky(
    () => pushback(status.UNAVAILABLE, "60000"),
    async (address) => {
      const asking = withClient(address, (client) => client.listModels({ timeoutMs: 200 }));
      await assert.rejects(asking, DeadlineExceeded);
    },
  ));

it("other failures are not tried again", async () => {
  for (const [code, Kind] of [
    [status.FAILED_PRECONDITION, Unsupported],
    [status.INTERNAL, InternalServerError],
    [status.DATA_LOSS, InternalServerError],
  ] as const) {
    await withFlaky(
      () => ({ code }),
      async (address, calls) => {
        const asking = withClient(address, (client) => client.listModels());
        await assert.rejects(
          asking,
          (error) => error instanceof Kind && error.message === "not now",
        );
        assert.equal(calls.length, 1);
      },
    );
  }
});

it("every request carries a deadline and an id", async () => {
  const seconds: number[] = [];
  const treat = (_: string, deadline: Date | number) => {
    seconds.push((Number(deadline) - Date.now()) / 1000);
    return undefined;
  };
  await withFlaky(treat, async (address, calls) => {
    await withClient(address, async (client) => {
      await client.listModels({ timeoutMs: 7000 });
      await client.listModels();
    });
    const [short, long] = seconds;
    assert.ok(short! > 0 && short! < 8 && long! > 8 && long! < 31, String(seconds));
    const [first, second] = calls.map((metadata) => metadata.get("x-request-id")[0]);
    assert.match(String(first), /^[0-9a-f]{32}$/);
    assert.notEqual(first, second);
  });
});

it("there may be no deadline to speak of", () =>
  withClient(ROOMY, async (client) => {
    const timeoutMs = Number.POSITIVE_INFINITY;
    await client.encode(PIXELS, { timeoutMs });
    assert.equal((await all(client.encodeStream(PIXELS, { timeoutMs }))).length, 23);
  }));

it("a slow answer ends at the deadline, and so does a stream", () =>
  withClient(SLOW, async (client) => {
    await client.limits();
    await assert.rejects(
      client.encode(PNG, { timeoutMs: 20, signal: undefined as never }),
      (error) => {
        return error instanceof DeadlineExceeded || error instanceof Overloaded;
      },
    );
    const message = "no reply on the stream for 20 ms";
    await assert.rejects(all(client.encodeStream(PNG, { timeoutMs: 20 })), { message });
  }));

it("a call ends when its signal says so, or has said so before", () =>
  withClient(SLOW, async (client) => {
    await client.limits();
    const stopping = new AbortController();
    const waiting = client.encode(PNG, { signal: stopping.signal });
    setTimeout(() => stopping.abort("enough"), 10);
    await assert.rejects(
      waiting,
      (error) => error instanceof Cancelled && error.cause === "enough",
    );
    const late = client.encode(PNG, { signal: stopping.signal });
    await assert.rejects(late, { name: "Cancelled", cause: "enough" });
    const timeout = client.encode(PNG, { signal: AbortSignal.timeout(10) });
    await assert.rejects(timeout, Cancelled);
  }));

it("each client of a process has a connection of its own, and so its worker", async () => {
  const [host, port] = ROOMY.split(":");
  let connections = 0;
  const between = createServer((near) => {
    connections += 1;
    const far = connect(Number(port), host);
    near.on("error", () => far.destroy()).pipe(far);
    far.on("error", () => near.destroy()).pipe(near);
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(between.address() as AddressInfo).port}`;
  await withClient(address, async (one) => {
    await one.limits();
    await withClient(address, (other) => other.limits());
  });
  between.close();
  assert.equal(connections, 2);
});

it("one signal may end any number of calls, without a warning", () =>
  withClient(ROOMY, async (client) => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on("warning", note);
    const stopping = new AbortController();
    const calls = Array.from({ length: 20 }, () => client.encode(PNG, { signal: stopping.signal }));
    stopping.abort();
    for (const call of calls) await assert.rejects(call, Cancelled);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", note);
    assert.deepEqual(warnings, []);
  }));

it("a queue that is full is waited for where retries allow, else told with a delay", () =>
  withClient(SLOW, async (patient) => {
    await patient.limits();
    await withClient(
      SLOW,
      async (client) => {
        await client.limits();
        const calls = Array.from({ length: 12 }, () => client.encode(PNG));
        const found = await Promise.allSettled(calls);
        const refused = found.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
        assert.ok(refused.length > 0 && refused.length < 12, `${refused.length} refused`);
        for (const error of refused) {
          assert.ok(error instanceof Overloaded);
          assert.equal(error.reason, "QUEUE_FULL");
          assert.ok(error.retryDelayMs! > 0);
        }
      },
      { retries: 0 },
    );
    await Promise.all(Array.from({ length: 6 }, () => patient.encode(PNG)));
  }));

it("closing a client ends its calls and streams, and refuses those that are begun", async () => {
  const client = new Client(SLOW);
  await client.limits();
  const waiting = [client.encode(PNG), all(client.encodeStream([PNG, PNG])), client.encode(PNG)];
  setTimeout(() => client.close(), 50);
  for (const found of await Promise.allSettled(waiting)) {
    assert.ok(found.status === "rejected" && found.reason instanceof Cancelled);
    assert.equal(found.reason.message, "the client was closed");
  }
  await assert.rejects(client.encode(PNG), Cancelled);
  await assert.rejects(all(client.encodeStream(PNG)), Cancelled);
  await assert.rejects(client.waitReady(), Cancelled);
  client.close();
});

it("a process ends by itself, whether it closes its client, forgets to, or closes it in the midst", async () => {
  const start = `
    import { Client } from "evenface";
    const client = new Client(process.env.EVENFACE_SLOW);
    await client.limits();
    async function outcomes() {
      for await (const { error } of client.encodeStream([process.env.IMAGE])) if (error) throw error;
    }
    const calls = [client.encode(process.env.IMAGE), outcomes()];`;
  for (const end of [
    "await Promise.all(calls); client.close();",
    "await Promise.all(calls); await client.listModels();",
    "calls.forEach((call) => call.catch(() => {})); setTimeout(() => client.close(), 20);",
  ]) {
    const code = ["--input-type=module", "-e", start + end];
    const environment = { ...process.env, IMAGE: file("a.png") };
    const child = spawn(process.execPath, code, { env: environment, stdio: "inherit" });
    const exit = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(exit, 0, end);
  }
});

it("a request of many megabytes is tried again too", async () => {
  let left = 1;
  const treat = (name: string) =>
    name === "encode" && left-- > 0 ? pushback(status.UNAVAILABLE, "1") : undefined;
  await withFlaky(treat, async (address, calls) => {
    await withClient(address, async (client) => {
      const data = new Uint8Array(4 * 3 * 1024 * 1024);
      const { mean } = await client.encode({ data, height: 1024, width: 1024, channels: 3 });
      assert.deepEqual(mean, { data: Float32Array.of(data.length), shape: [1, 1] });
    });
    assert.equal(calls.length, 3);
  });
});
