// flagd's evaluator, which Node's and the browser's providers in process have: a line with a set, then a line of JSON for each user
// (a flag's key and a context); a line with the details of each out.
import { createInterface } from "node:readline";
import { FlagdCore } from "@openfeature/flagd-core";

const silent = { error() {}, warn() {}, info() {}, debug() {} };
const core = new FlagdCore(undefined, silent);
let known = false;

for await (const line of createInterface({ input: process.stdin })) {
  const sent = JSON.parse(line);
  if (!known) {
    core.setConfigurations(sent);
    known = true;
    continue;
  }
  console.log(JSON.stringify(core.resolveObjectEvaluation(sent.key, { code: "default" }, sent.context, silent)));
}
