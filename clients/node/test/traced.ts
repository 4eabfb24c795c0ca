/** A program that traces: calls a server within a span, and says which; run by test_node_client.py. */

import { baggageEntryMetadataFromString, context, propagation, trace } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { Client } from "evenface";
import { all, PIXELS } from "./support.js";

new NodeTracerProvider().register();
using client = new Client(process.argv[2]);
await client.limits();
// No metadata can hold this.
const note = { value: "1", metadata: baggageEntryMetadataFromString("name=Jürgen") };
const noted = propagation.setBaggage(context.active(), propagation.createBaggage({ note }));
await trace.getTracer("caller").startActiveSpan("mine", {}, noted, async (span) => {
  await Promise.all([client.encode(PIXELS), all(client.encodeStream(PIXELS))]);
  span.end();
  const { traceId, spanId } = span.spanContext();
  console.log(JSON.stringify({ traceId, spanId }));
});
await client.classify(PIXELS);
