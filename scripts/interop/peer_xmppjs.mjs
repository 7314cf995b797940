// xmpp.js as a peer of the interop test: commands as JSON lines on stdin, events as JSON lines on stdout.
// Node trusts the certificate of the data folder through NODE_EXTRA_CA_CERTS, which the test sets.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(process.argv[2]);
const modules = createRequire(`${settings.modules}/index.js`);
const { client, xml, jid } = await import(pathToFileURL(modules.resolve("@xmpp/client")).href);

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const me = jid(settings.jid);

const peer = client({
  service: `xmpp://${settings.host}:${settings.port}`,
  domain: me.domain,
  resource: me.resource,
  credentials: async (authenticate, mechanisms) => {
    if (!mechanisms.includes(settings.mechanism)) throw new Error(`${settings.mechanism} is not offered`);
    await authenticate({ username: me.local, password: settings.password }, settings.mechanism);
  },
});
peer.reconnect.stop();

peer.on("error", (error) => tell({ event: "failed", reason: String(error) }));
peer.on("online", async (address) => {
  await peer.send(xml("presence"));
  tell({ event: "online", jid: address.toString(), mechanism: settings.mechanism });
});
peer.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  if (stanza.attrs.type === "error") {
    const condition = stanza.getChild("error").children.find((child) => child.name !== "text").name;
    tell({ event: "error", condition, from: stanza.attrs.from });
  } else if (stanza.getChildText("body") !== null) {
    tell({ event: "message", body: stanza.getChildText("body"), from: stanza.attrs.from });
  }
});

const ask = (name, xmlns) => peer.iqCaller.get(xml(name, { xmlns }), me.domain, 10_000);
const deeds = {
  send: ({ to, body }) => peer.send(xml("message", { to, type: "chat" }, xml("body", {}, body))),
  ping: async () => {
    await peer.iqCaller.request(xml("iq", { type: "get", to: me.domain }, xml("ping", "urn:xmpp:ping")), 10_000);
    return "pong";
  },
  disco: async () => {
    const info = await ask("query", "http://jabber.org/protocol/disco#info");
    return info.getChildren("feature").map((feature) => feature.attrs.var).sort();
  },
  items: async () => {
    const items = await ask("query", "http://jabber.org/protocol/disco#items");
    return `${items.getChildren("item").length} items`;
  },
  version: async () => (await ask("query", "jabber:iq:version")).getChildText("name"),
  time: async () => (await ask("time", "urn:xmpp:time")).getChildText("utc"),
};

await peer.start().catch(() => {});
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === "quit") break;
  try {
    const value = await deeds[command.do](command);
    if (command.do !== "send") tell({ event: "done", what: command.do, value });
  } catch (error) {
    tell({ event: "failed", reason: String(error) });
  }
}
await peer.stop().catch(() => {});
tell({ event: "gone" });
