"""Gives aioxmpp's tests their clients: the accounts of a list, each client settled before a test uses it.

aioxmpp calls a client connected as soon as its initial presence is on its way. Its presence tests then send to the bare
JID of another, by another connection, and whichever the server reads first wins. So each client asks the server
something here: an answer means that all before the question was read.

Tests share these accounts, and what one publishes is in the way of the next that wants the node to be another (XEP-0060,
7.1.5). So each client's account is given without nodes, as a new one would be.
"""

import aioxmpp
import aioxmpp.e2etest.provision
import aioxmpp.ping
import aioxmpp.pubsub


class SettledProvisioner(aioxmpp.e2etest.provision.StaticPasswordProvisioner):
    async def get_connected_client(self, *arguments, **options) -> aioxmpp.Client:
        client = await super().get_connected_client(*arguments, **options)
        await aioxmpp.ping.ping(client, self._domain)
        account = client.local_jid.bare()
        listed = await client.summon(aioxmpp.DiscoClient).query_items(account)
        for node in [item.node for item in listed.items if item.node]:
            await client.summon(aioxmpp.PubSubClient).delete(account, node)
        return client
