// Asks for flags by OpenFeature's SDK and provider for servers in JavaScript:
// MODULES ADDRESS KEY ASKED TOLD
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, address, key, asked, told] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { OpenFeature } = require('@openfeature/server-sdk');
const { OFREPProvider } = require('@openfeature/ofrep-provider');

const AT_ONCE = 16;
// What no experiment gives, so that a default is seen for what it is.
const ASK = {
  boolean: ['getBooleanDetails', false],
  string: ['getStringDetails', '(default)'],
  integer: ['getNumberDetails', -1],
  float: ['getNumberDetails', -1],
  object: ['getObjectDetails', { default: true }],
};

await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl: address, headers: [['Authorization', `Bearer ${key}`]] }),
);
const client = OpenFeature.getClient();
const questions = readFileSync(asked, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
const answers = new Array(questions.length);
let next = 0;

async function ask() {
  while (next < questions.length) {
    const index = next++;
    const { customer, attributes, key, kind } = questions[index];
    const [method, fallback] = ASK[kind];
    const context = { targetingKey: customer, ...attributes };
    const { value, variant, flagMetadata, errorMessage } = await client[method](key, fallback, context);
    answers[index] = { key, value, variant, metadata: flagMetadata, error: errorMessage };
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, ask));
writeFileSync(told, answers.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
