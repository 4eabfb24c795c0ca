// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** 12,345. */
export const count = (value) => whole.format(value);

/** Three digits that matter: 0.0123, 1.23, 123, 12,300. */
export const number = (value) => (value == null ? "–" : short.format(value));

/** A share as per cent, with digits enough to tell small ones from 0: 0.42 %, 12.3 %, 100 %. */
export function percent(share) {
  if (share == null) return "–";
  const value = 100 * share;
  if (value === 0 || Math.abs(value - 100) < 1e-6) return `${Math.round(value)} %`;
  if (value < 0.01) return "< 0.01 %";
  if (value > 99.9) return `${value >= 99.995 ? "> 99.99" : value.toFixed(2)} %`;
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} %`;
}

/** How many times something: 0.52 ×. */
export const times = (value) => (value == null ? "–" : `${short.format(value)} ×`);

/** Seconds: 850 µs, 3.2 ms, 1.5 s. */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1e-3) return `${short.format(seconds * 1e6)} µs`;
  return seconds < 1 ? `${short.format(seconds * 1e3)} ms` : `${short.format(seconds)} s`;
}

/** Bytes: 12.3 MiB. */
export function bytes(value) {
  if (value == null) return "–";
  const unit = value < 2 ** 20 ? [2 ** 10, "KiB"] : [2 ** 20, "MiB"];
  return `${short.format(value / unit[0])} ${unit[1]}`;
}

/** "1 image", "12 images". */
export const some = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;
