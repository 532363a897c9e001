// Asks through GrowthBook's SDK for JavaScript; run beside the packages that it needs.

import { readFileSync, writeFileSync } from "node:fs";
import { GrowthBook, GrowthBookClient, configureCache } from "@growthbook/growthbook";

const [, , asked, answered, mode] = process.argv;
const question = JSON.parse(readFileSync(asked, "utf8"));
const host = { apiHost: question.url, clientKey: question.key };
configureCache({ disableCache: true });

const evaluate = (instance) =>
  question.experiments.map((key) => instance.evalFeature(key).value?.arm ?? null);

async function askRemotely(attributes, trackingCallback) {
  const instance = new GrowthBook({ ...host, attributes, trackingCallback, remoteEval: true });
  const { success, error } = await instance.init({ timeout: 10_000 });
  if (!success) throw error;
  const arms = evaluate(instance);
  instance.destroy();
  return arms;
}

async function makeLocal() {
  const client = new GrowthBookClient(host);
  const { success, error } = await client.init({ timeout: 10_000 });
  if (!success) throw error;
  return async (attributes, trackingCallback) =>
    evaluate(client.createScopedInstance({ attributes, trackingCallback }));
}

const ask = mode === "remote" ? askRemotely : await makeLocal();
const answers = { arms: [], exposures: [] };
for (const { id, attributes } of question.customers) {
  const seen = [];
  const note = (experiment, result) => seen.push([experiment.key, result.key]);
  answers.arms.push(await ask({ ...attributes, id }, note));
  answers.exposures.push(seen);
}
writeFileSync(answered, JSON.stringify(answers));
process.exit();
