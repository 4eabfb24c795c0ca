/** What the tests share: servers, images and what to expect of them. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { create, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { Client, type ClientOptions, type RawImages, type Tensor } from "evenface";
import {
  type EncodeRequest,
  EncodeResponseSchema,
  FaceService,
} from "../dist/gen/evenface/v1/face_service_pb.js";
import {
  ListModelsResponseSchema,
  ModelService,
} from "../dist/gen/evenface/v1/model_service_pb.js";
import { toMessage } from "../dist/tensors.js";

function environment(name: string): string {
  const value = process.env[`EVENFACE_${name}`];
  assert.ok(value, `EVENFACE_${name} is not set; tests/e2e/test_node_client.py runs these tests`);
  return value;
}

/** A file that the tests find. */
export function file(name: string): string {
  return join(environment("FOLDER"), name);
}

/** Servers with room, with limits of 12 items and 8,192 bytes, slow with a short queue, and secured. */
export const ROOMY = environment("ROOMY");
export const SMALL = environment("SMALL");
export const SLOW = environment("SLOW");
export const SECURE = environment("SECURE");
export const TOKEN = environment("TOKEN");

interface Expected {
  size: number;
  pixels: string;
  mean: number[][];
  logVariance: number[][];
  logits: number[];
}

/** What the models of the tests make of the pixels. */
export const EXPECTED = JSON.parse(readFileSync(file("expected.json"), "utf8")) as Expected;

/** 23 images of the models' size. */
export const PIXELS: RawImages = {
  data: Buffer.from(EXPECTED.pixels, "base64"),
  height: EXPECTED.size,
  width: EXPECTED.size,
  channels: 3,
};

/** Three of them as files. */
export const FILES = ["a.png", "b.png", "c.png"].map(file);
export const PNG: Uint8Array = readFileSync(file("a.png"));

/** A test; it fails where it hangs. */
export function it(name: string, work: () => Promise<void> | void): void {
  test(name, { timeout: 60_000 }, work);
}

/** Do something with a client, which is closed at the end. */
export async function withClient<T>(
  server: string,
  work: (client: Client) => Promise<T>,
  options: ClientOptions = {},
): Promise<T> {
  const client = new Client(server, options);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** All of an iterable. */
export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

/** Check that numbers are near others. */
export function near(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance = 1e-5,
): void {
  assert.equal(found.length, expected.length);
  const worst = Math.max(...Array.from(found, (value, i) => Math.abs(value - expected[i]!)));
  assert.ok(worst <= tolerance, `${worst} is more than ${tolerance}`);
}

/** Check that a tensor has the rows that are expected. */
export function nearRows(found: Tensor, expected: number[][]): void {
  assert.deepEqual([...found.shape], [expected.length, expected[0]!.length]);
  near(found.data, expected.flat());
}

/** evenface-server in a process of its own. */
export class Server {
  address = "";
  /** How many calls it has logged. */
  calls = 0;

  private constructor(readonly process: ChildProcess) {}

  /** Start one, and wait until it serves. */
  static async start(port = "0"): Promise<Server> {
    const options = ["--models", file("models"), "--port", port, "--no-metrics", "--workers", "1"];
    const child = spawn(environment("PYTHON"), ["-m", "evenface_server", ...options], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    after(() => child.kill("SIGKILL")); // lest a test that fails leaves it behind
    const server = new Server(child);
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const { event, address } = JSON.parse(line) as { event: string; address: string };
        if (event === "call") server.calls += 1;
        if (event !== "serving") return;
        server.address = address;
        resolve();
      });
      child.once("exit", () => reject(new Error("the server has ended before it served")));
    });
    return server;
  }

  get port(): string {
    return this.address.split(":")[1]!;
  }

  /** Send a signal and wait for the end. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("close", resolve));
    this.process.kill(signal);
    await ended;
  }
}

/** How a server of one's own treats a call, by the name of the method. */
export type Treatment = (
  name: string,
  deadline: grpc.Deadline,
) => Partial<grpc.StatusObject> | undefined;

type UnaryCall = grpc.ServerUnaryCall<EncodeRequest, unknown>;

/** A real gRPC server that refuses calls as it is told to; encode answers how much it was sent. */
export async function withFlaky<T>(
  treat: Treatment,
  work: (address: string, calls: grpc.Metadata[]) => Promise<T>,
): Promise<T> {
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  const calls: grpc.Metadata[] = [];
  const handle = (method: DescMethod, answer: (request: EncodeRequest) => unknown) => {
    const handler = (call: UnaryCall, reply: grpc.sendUnaryData<unknown>) => {
      calls.push(call.metadata);
      const refusal = treat(method.localName, call.getDeadline());
      if (refusal) reply({ name: "", message: "", code: 2, details: "not now", ...refusal });
      else reply(null, answer(call.request));
    };
    server.addService(definition(method), { [method.localName]: handler });
  };
  handle(ModelService.method.listModels, () =>
    create(ListModelsResponseSchema, { limits: LIMITS }),
  );
  handle(FaceService.method.encode, (request) => {
    const size = request.images?.source.value?.data.length ?? 0;
    const tensor = toMessage({ data: Float32Array.of(size), shape: [1, 1] });
    return create(EncodeResponseSchema, { mean: tensor, logVariance: tensor });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  try {
    return await work(`127.0.0.1:${port}`, calls);
  } finally {
    server.forceShutdown();
  }
}

const LIMITS = { maxItemsPerRequest: 10, maxMessageBytes: 2 ** 26 };

function definition(method: DescMethod): grpc.ServiceDefinition {
  return {
    [method.localName]: {
      path: `/${method.parent.typeName}/${method.name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (message) => Buffer.from(toBinary(method.input, message as never)),
      requestDeserialize: (bytes) => fromBinary(method.input, bytes),
      responseSerialize: (message) => Buffer.from(toBinary(method.output, message as never)),
      responseDeserialize: (bytes) => fromBinary(method.output, bytes),
    },
  };
}
