// Live updates: at most one request in flight, and only the newest wish waits behind it.

import { isAbort } from "./api.js";

/**
 * Makes the newest wish come true, whatever comes in between.
 *
 * While a request is in flight, `ask` remembers the newest wish alone, so that requests never queue
 * up behind one another, and a slider that moves all the time is still followed. An urgent wish (a
 * slider was let go, another face was chosen) aborts what is in flight and goes at once.
 *
 * @param work (wish, signal) → promise of what to show
 * @param show what came of it; not called for what was given up
 * @param fail an error of the newest request
 */
export function latest(work, show, fail) {
  let inFlight = null;
  let waiting = null;

  async function run(wish) {
    const own = new AbortController();
    inFlight = own;
    try {
      const result = await work(wish, own.signal);
      if (inFlight === own) show(result, wish);
    } catch (error) {
      if (inFlight === own && !isAbort(error)) fail(error);
    }
    if (inFlight !== own) return;
    inFlight = null;
    if (waiting !== null) run(takeWaiting());
  }

  function takeWaiting() {
    const [wish] = waiting;
    waiting = null;
    return wish;
  }

  function drop() {
    inFlight?.abort();
    inFlight = null;
    waiting = null;
  }

  return {
    drop,
    ask(wish, { urgent = false } = {}) {
      if (inFlight !== null && !urgent) {
        waiting = [wish];
        return;
      }
      drop();
      run(wish);
    },
  };
}
