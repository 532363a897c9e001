// Asks through GrowthBook's SDK for JavaScript and sends what its callback is told: QUESTION ANSWERS.

import { readFileSync, writeFileSync } from "node:fs";
import { GrowthBookClient } from "@growthbook/growthbook";

const SENT_TOGETHER = 200;
const [, , asked, answered] = process.argv;
const question = JSON.parse(readFileSync(asked, "utf8"));

const client = new GrowthBookClient({ apiHost: question.url, clientKey: question.reading });
const { success, error } = await client.init({ timeout: 10_000 });
if (!success) throw error;

const answers = { offers: [], views: [] };
for (const { id, attributes } of question.customers) {
  const trackingCallback = (experiment, result) => {
    const { leafId, banditVersion, variationWeights } = result;
    const bandit = { leafId, banditVersion, variationWeights };
    const said = { experimentId: experiment.key, variationId: result.key, ...bandit };
    answers.views.push({ customer: id, said });
  };
  const scoped = client.createScopedInstance({ attributes: { ...attributes, id }, trackingCallback });
  answers.offers.push(scoped.evalFeature(question.campaign).value?.key ?? null);
}

const identified = question.customers.map(({ id, attributes }) => {
  return { type: "identify", userId: id, traits: attributes };
});
const viewed = answers.views.map(({ customer, said }) => {
  const event = { type: "track", event: "Experiment Viewed", userId: customer };
  return { ...event, timestamp: question.at, properties: said };
});
const messages = [...identified, ...viewed];
const authorization = `Basic ${Buffer.from(`${question.writing}:`).toString("base64")}`;
for (let first = 0; first < messages.length; first += SENT_TOGETHER) {
  const batch = messages.slice(first, first + SENT_TOGETHER);
  const sent = await fetch(`${question.url}/v1/batch`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ batch }),
  });
  if (!sent.ok) throw new Error(`${sent.status}: ${await sent.text()}`);
}
writeFileSync(answered, JSON.stringify(answers));
process.exit();
