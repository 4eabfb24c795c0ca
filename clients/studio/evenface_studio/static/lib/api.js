// Requests to the studio's own server. Errors come as the JSON that evenface_studio.problems makes.

const STOPPED = {
  kind: "unavailable",
  title: "The studio has stopped",
  detail: "This page cannot reach evenface-studio.",
  hint: "Start evenface-studio again. This page goes on by itself once it is back.",
};

/** An error that says what to do; `kind` tells errors apart. */
export class ApiError extends Error {
  constructor({ kind, title, detail, hint }, status = 0) {
    super(`${title}: ${detail}`);
    Object.assign(this, { kind, title, detail, hint, status });
  }

  /** Whether the same request may do better: not where a file was refused before it was sent. */
  get mayPass() {
    return this.status > 0 || this.passes;
  }

  /** Whether it goes away by itself once the service, or the studio, is back. */
  get passes() {
    return this.kind === "unavailable";
  }
}

/** Whether an error says that we ourselves gave a request up. */
export const isAbort = (error) => error?.name === "AbortError";

/** GET → JSON. `query` is an object; empty values are left out. */
export const getJson = async (path, { query, signal } = {}) =>
  (await call(path, { query, signal })).json();

/** GET → Blob. */
export const getBlob = async (path, { query, signal } = {}) =>
  (await call(path, { query, signal })).blob();

/** POST of JSON → JSON. */
export const postJson = async (path, body, { query, signal } = {}) =>
  (await post(path, body, { query, signal })).json();

/** POST of JSON → Blob. */
export const postForBlob = async (path, body, { query, signal } = {}) =>
  (await post(path, body, { query, signal })).blob();

/** POST of a file's bytes → JSON. */
export const postFile = async (path, file, { query, signal } = {}) =>
  (await call(path, { query, signal, method: "POST", body: file })).json();

const post = (path, body, options) =>
  call(path, {
    ...options,
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });

async function call(path, { query = {}, ...options }) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = new URLSearchParams(given).toString();
  const reply = await reach(search ? `${path}?${search}` : path, options);
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => null);
  throw lost(new ApiError(told?.error ?? { ...STOPPED, kind: "fault" }, reply.status));
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw lost(new ApiError(STOPPED));
  }
}

/** Tells the page that the service is gone, so that it looks out for its return. */
function lost(error) {
  if (error.passes) document.dispatchEvent(new CustomEvent("studio:lost", { detail: error }));
  return error;
}
