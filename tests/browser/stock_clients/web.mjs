// The OFREP web provider as a page has it. The test calls what is on `window`, and reads what the client said on its own.
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";

const settings = new URLSearchParams(location.search);
const told = [];

window.start = async (context, headers) => {
  await OpenFeature.setContext(context);
  for (const event of Object.values(ProviderEvents)) {
    OpenFeature.addHandler(event, (details) => told.push({ event, flags: details?.flagsChanged ?? [] }));
  }
  const provider = new OFREPWebProvider({ baseUrl: settings.get("baseUrl"), cacheMode: "disabled", headers });
  await OpenFeature.setProviderAndWait(provider);
};
window.become = (context) => OpenFeature.setContext(context);
window.details = (key) => OpenFeature.getClient().getObjectDetails(key, { code: "default" });
window.told = () => told;
