/** The context of whoever calls, where the program traces with OpenTelemetry. No dependency. */

type Api = typeof import("@opentelemetry/api");

/** What metadata can hold. Baggage of OpenTelemetry may have notes with any letters. */
const PLAIN = /^[ -~]*$/;

let api: Promise<Api | undefined> | undefined;

/**
 * The current context as metadata, as the program's propagators have it (`traceparent`).
 *
 * Empty where the program does not have `@opentelemetry/api`, or traces nothing. What cannot be sent
 * is left out: no call fails for it.
 */
export async function traceContext(): Promise<Readonly<Record<string, string>>> {
  api ??= import("@opentelemetry/api").catch(() => undefined);
  const found = await api;
  const carrier: Record<string, string> = {};
  found?.propagation.inject(found.context.active(), carrier);
  const sendable = ([key, value]: [string, string]) => !key.endsWith("-bin") && PLAIN.test(value);
  return Object.fromEntries(Object.entries(carrier).filter(sendable));
}
