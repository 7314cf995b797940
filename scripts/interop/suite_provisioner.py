"""Gives aioxmpp's tests their clients: the accounts of a list, each client settled before a test uses it.

aioxmpp calls a client connected as soon as its initial presence is on its way. Its presence tests then send to the bare
JID of another, by another connection, and whichever the server reads first wins. So each client asks the server
something here: an answer means that all before the question was read.
"""

import aioxmpp
import aioxmpp.e2etest.provision
import aioxmpp.ping


class SettledProvisioner(aioxmpp.e2etest.provision.StaticPasswordProvisioner):
    async def get_connected_client(self, *arguments, **options) -> aioxmpp.Client:
        client = await super().get_connected_client(*arguments, **options)
        await aioxmpp.ping.ping(client, self._domain)
        return client
