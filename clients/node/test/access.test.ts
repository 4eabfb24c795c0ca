import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { AccessDenied, type TLS, Unavailable } from "evenface";
import { isLocal } from "../dist/token.js";
import { all, file, it, PIXELS, SECURE, TOKEN, withClient } from "./support.js";

const TRUST: TLS = { ca: file("ca.pem"), serverName: "faces.test" };
const MUTUAL: TLS = { ...TRUST, certificate: file("client.pem"), key: file("client.key") };

it("mutual TLS and a token let a client in, for calls and streams", () =>
  withClient(
    SECURE,
    async (client) => {
      assert.equal((await client.encode(PIXELS)).mean.shape[0], 23);
      assert.equal((await all(client.encodeStream(PIXELS))).length, 23);
    },
    { tls: MUTUAL, token: TOKEN },
  ));

it("PEM files can be given by their bytes", () => {
  const read = (name: string) => readFileSync(file(name));
  const tls = { ca: read("ca.pem"), certificate: read("client.pem"), key: read("client.key") };
  return withClient(SECURE, (client) => client.waitReady(), {
    tls: { ...tls, serverName: "faces.test" },
    token: TOKEN,
  });
});

it("without the right token a client is denied, with the reason", async () => {
  for (const token of [{}, { token: "evenface_other" }]) {
    await withClient(
      SECURE,
      async (client) => {
        await assert.rejects(client.encode(PIXELS), (error) => {
          assert.ok(error instanceof AccessDenied);
          assert.equal(error.code, "UNAUTHENTICATED");
          assert.notEqual(error.reason, "");
          assert.ok(!error.message.includes("evenface_other"));
          return true;
        });
        await assert.rejects(all(client.encodeStream(PIXELS)), AccessDenied);
      },
      { tls: MUTUAL, ...token },
    );
  }
});

it("without a certificate, a trusted authority, the right name or TLS there is no connection", async () => {
  for (const tls of [
    TRUST,
    { ...MUTUAL, ca: file("other.pem") },
    { ...MUTUAL, serverName: "x.test" },
  ]) {
    const asking = withClient(SECURE, (client) => client.limits(), { tls, retries: 0 });
    await assert.rejects(asking, Unavailable);
  }
  await assert.rejects(
    withClient(SECURE, (client) => client.limits(), { retries: 0 }),
    Unavailable,
  );
});

it("what is on this machine is known by its address", () => {
  const local = [
    "localhost",
    "localhost:1",
    "127.0.0.1:1",
    "127.9.9.9",
    "[::1]:1",
    "::1",
    "unix:/a",
  ];
  local.push(
    "dns:localhost:1",
    "dns:///127.0.0.1:1",
    "ipv4:127.0.0.1:1,127.0.0.2:2",
    "ipv6:[::1]:1",
  );
  const remote = ["10.0.0.1:1", "faces.test:1", "localhost.test:1", "[::2]:1", "128.0.0.1"];
  remote.push("dns:///faces.test:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "");
  for (const address of local) assert.equal(isLocal(address), true, address);
  for (const address of remote) assert.equal(isLocal(address), false, address);
});
