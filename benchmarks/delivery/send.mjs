// Send numbered events by @segment/analytics-node, as `send.py` does by the Python library.
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

const [, , directory, json] = process.argv;
const plan = JSON.parse(json);
const { Analytics } = createRequire(`${directory}/`)("@segment/analytics-node");

// The library leaves packing to whoever gives it a client of their own.
const gzipping = (url, options) =>
  fetch(url, {
    ...options,
    body: gzipSync(options.body),
    headers: { ...options.headers, "Content-Encoding": "gzip" },
  });

const analytics = new Analytics({
  writeKey: plan.key,
  host: plan.host,
  flushAt: 100,
  flushInterval: 100,
  maxRetries: 50,
  ...(plan.gzip ? { httpClient: gzipping } : {}),
});
const failed = [];
analytics.on("error", (error) => failed.push(String(error.reason ?? error)));

// So many at once: the library sends all its batches at the same time, and gives each of them up
// after some refusals, however small the limit is that they share.
const ROUND = 1000;
for (let number = 0; number < plan.events; number++) {
  for (let i = 0; i < (number % plan.repeat_every === 0 ? 2 : 1); i++) {
    analytics.track({
      userId: `${plan.name}-${number % 500}`,
      event: "Delivered",
      properties: { value: number, sender: plan.name },
      messageId: `${plan.name}-${number}`,
    });
  }
  if (number % ROUND === ROUND - 1) await analytics.flush({ timeout: 600_000 });
}
await analytics.closeAndFlush({ timeout: 600_000 });
console.log(JSON.stringify({ failed }));
