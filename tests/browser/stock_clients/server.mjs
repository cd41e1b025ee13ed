// The OFREP server provider under Node: a line of JSON in (a flag's key and a context), a line with the details out.
import { createInterface } from "node:readline";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";

const [baseUrl, headers] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: headers ? JSON.parse(headers) : undefined }));
const client = OpenFeature.getClient();

for await (const line of createInterface({ input: process.stdin })) {
  const { key, context } = JSON.parse(line);
  console.log(JSON.stringify(await client.getObjectDetails(key, { code: "default" }, context)));
}
