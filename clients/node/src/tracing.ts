/** The context of whoever calls, where the program traces with OpenTelemetry. No dependency. */

type Api = typeof import("@opentelemetry/api");

let api: Promise<Api | undefined> | undefined;

/**
 * The current context as metadata, as the program's propagators have it (`traceparent`).
 *
 * Empty where the program does not have `@opentelemetry/api`, or traces nothing.
 */
export async function traceContext(): Promise<Readonly<Record<string, string>>> {
  api ??= import("@opentelemetry/api").catch(() => undefined);
  const found = await api;
  const carrier: Record<string, string> = {};
  found?.propagation.inject(found.context.active(), carrier);
  return carrier;
}
