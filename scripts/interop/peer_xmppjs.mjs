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
const ROSTER = "jabber:iq:roster";
const BLOCKING = "urn:xmpp:blocking";
const VCARD = "vcard-temp";
const PRIVATE = "jabber:iq:private";
const NOTE = "urn:rjabberd:interop";

const peer = client({
  service: `${settings.direct ? "xmpps" : "xmpp"}://${settings.host}:${settings.port}`,
  domain: me.domain,
  resource: me.resource,
  // Its SCRAM is JavaScript and may take longer than the 2 s that it gives itself.
  timeout: 20_000,
  credentials: async (authenticate, mechanisms) => {
    if (!mechanisms.includes(settings.mechanism)) throw new Error(`${settings.mechanism} is not offered`);
    // With an id of the client it asks for a token (XEP-0484), and comes back by one that it is given.
    const agent = settings.agent && xml("user-agent", { id: settings.agent });
    const { password, token } = settings;
    await authenticate({ username: me.local, password, token }, settings.mechanism, agent);
  },
});
peer.fast.saveToken = async (token) => tell({ event: "token", token });
peer.fast.deleteToken = async () => {};
peer.reconnect.stop();

let online = false;
peer.on("error", (error) => {
  // It begins to wait for the server's header only when its own has been written. If the header was there before, it
  // waits in vain, although all goes well.
  if (!(online && error.name === "TimeoutError")) tell({ event: "failed", reason: String(error) });
});
peer.on("online", async (address) => {
  online = true;
  await peer.send(xml("presence"));
  tell({ event: "online", jid: address.toString(), mechanism: settings.mechanism });
});
const saw = (stanza) => {
  const told = (name) => stanza.getChildText(name) || null;
  const type = stanza.attrs.type ?? "available";
  tell({ event: "presence", type, show: told("show"), status: told("status"), from: stanza.attrs.from });
};
peer.iqCallee.set(ROSTER, "query", ({ element }) => {
  for (const { attrs } of element.getChildren("item")) {
    tell({ event: "push", jid: attrs.jid, name: attrs.name ?? "", subscription: attrs.subscription });
  }
  return true;
});
peer.on("stanza", (stanza) => {
  if (stanza.is("presence")) saw(stanza);
  if (!stanza.is("message")) return;
  if (stanza.attrs.type === "error") {
    const condition = stanza.getChild("error").children.find((child) => child.name !== "text").name;
    tell({ event: "error", condition, from: stanza.attrs.from });
  } else if (stanza.getChildText("body") !== null) {
    const delay = stanza.getChild("delay", "urn:xmpp:delay")?.attrs.stamp ?? null;
    tell({ event: "message", body: stanza.getChildText("body"), delay, from: stanza.attrs.from });
  }
});

const ask = (name, xmlns) => peer.iqCaller.get(xml(name, { xmlns }), me.domain, 10_000);
// Of the own account: without an address.
const get = (child) => peer.iqCaller.get(child, undefined, 10_000);
const set = async (child) => {
  await peer.iqCaller.set(child, undefined, 10_000);
  return "set";
};
const item = (attrs) => xml("query", ROSTER, xml("item", attrs));
const deeds = {
  presence: ({ to, type, show, status }) => {
    const children = Object.entries({ show, status }).filter(([, text]) => text);
    const attrs = { to, type: type === "available" ? undefined : type };
    return peer.send(xml("presence", attrs, ...children.map(([name, text]) => xml(name, {}, text))));
  },
  roster: async ({ ver }) => {
    const query = await get(xml("query", { xmlns: ROSTER, ver: ver ?? "" }));
    if (!query) return null;
    const items = query.getChildren("item").map(({ attrs }) => [attrs.jid, attrs.subscription]);
    return { ver: query.attrs.ver ?? "", items: Object.fromEntries(items) };
  },
  roster_set: ({ jid, name }) => set(item({ jid, name })),
  roster_remove: ({ jid }) => set(item({ jid, subscription: "remove" })),
  block: ({ jid }) => set(xml("block", BLOCKING, xml("item", { jid }))),
  unblock: ({ jid }) => set(xml("unblock", BLOCKING, xml("item", { jid }))),
  blocked: async () => {
    const list = await get(xml("blocklist", BLOCKING));
    return list.getChildren("item").map(({ attrs }) => attrs.jid).sort();
  },
  vcard_set: ({ name }) => set(xml("vCard", VCARD, xml("FN", {}, name))),
  vcard: async ({ jid }) => (await peer.iqCaller.get(xml("vCard", VCARD), jid, 10_000)).getChildText("FN"),
  private_set: ({ text }) => set(xml("query", PRIVATE, xml("note", NOTE, text))),
  private: async () => (await get(xml("query", PRIVATE, xml("note", NOTE)))).getChildText("note"),
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

// Not awaited: it may wait in vain, see above.
peer.start().catch(() => {});
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === "quit") break;
  try {
    const value = await deeds[command.do](command);
    if (!["send", "presence"].includes(command.do)) tell({ event: "done", what: command.do, value });
  } catch (error) {
    tell({ event: "failed", reason: String(error) });
  }
}
await peer.stop().catch(() => {});
tell({ event: "gone" });
