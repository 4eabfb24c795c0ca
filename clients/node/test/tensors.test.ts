import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { InternalServerError, row } from "evenface";
import { DataType, TensorSchema } from "../dist/gen/evenface/v1/common_pb.js";
import { fromMessage, toMessage } from "../dist/tensors.js";
import { it } from "./support.js";

const NUMBERS = Float32Array.of(1.5, -2, 3, 4, 5, 6);

function message(data: Uint8Array, shape = [2, 3], dataType = DataType.FLOAT32) {
  return create(TensorSchema, { data, shape, dataType });
}

it("numbers are sent and read without copying where they lie at a multiple of their size", () => {
  const sent = toMessage({ data: NUMBERS, shape: [2, 3] });
  assert.equal(sent.data.buffer, NUMBERS.buffer);
  const found = fromMessage(sent, Float32Array);
  assert.equal(found.data.buffer, NUMBERS.buffer);
  assert.deepEqual(found, { data: NUMBERS, shape: [2, 3] });
});

it("numbers are read wherever they lie", () => {
  for (const offset of [0, 1, 2, 3, 4, 5]) {
    for (const memory of [new Uint8Array(64), Buffer.allocUnsafe(64)]) {
      const bytes = memory.subarray(offset, offset + 24);
      bytes.set(new Uint8Array(NUMBERS.buffer));
      assert.deepEqual(fromMessage(message(bytes), Float32Array).data, NUMBERS);
    }
  }
});

it("a reply that contradicts itself is the server's fault", () => {
  const bytes = new Uint8Array(NUMBERS.buffer);
  for (const broken of [
    undefined,
    message(bytes, [2, 4]),
    message(bytes.subarray(1)),
    message(bytes, [2, 3], DataType.UNSPECIFIED),
    message(bytes, [3], DataType.FLOAT64),
  ]) {
    assert.throws(() => fromMessage(broken, Float32Array), InternalServerError);
  }
});

it("rows share the memory of their tensor", () => {
  const tensor = { data: NUMBERS, shape: [2, 3] };
  assert.deepEqual(row(tensor, 1), Float32Array.of(4, 5, 6));
  assert.equal(row(tensor, 1).buffer, NUMBERS.buffer);
  for (const i of [-1, 2, 0.5]) assert.throws(() => row(tensor, i), RangeError);
});
