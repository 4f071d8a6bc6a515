#!/usr/bin/python3
"""bad_dc.py ADDRESS hang | stall SERVER BYTES | cut SERVER BYTES: a domain controller that is half dead.

hang accepts and says nothing; stall and cut pass on what SERVER says, up to so many bytes of a
connection, and then say nothing more, or hang up.
"""
import selectors
import socket
import sys

sel = selectors.DefaultSelector()
listener = socket.create_server((sys.argv[1], 389))
mode = sys.argv[2]
sel.register(listener, selectors.EVENT_READ, None)
held = []


class Pair:
    def __init__(self, client):
        self.client = client
        self.server = socket.create_connection((sys.argv[3], 389))
        self.left = int(sys.argv[4])
        sel.register(client, selectors.EVENT_READ, self)
        sel.register(self.server, selectors.EVENT_READ, self)

    def close(self):
        for s in (self.client, self.server):
            try:
                sel.unregister(s)
            except KeyError:
                pass
            s.close()

    def ready(self, s):
        data = s.recv(65536)
        if not data:
            return self.close()
        if s is self.client:
            return self.server.sendall(data)
        self.client.sendall(data[:self.left])
        self.left -= min(self.left, len(data))
        if self.left:
            return None
        if mode == 'cut':
            return self.close()
        sel.unregister(self.server)
        return None


while True:
    for key, _ in sel.select():
        if key.data is None:
            client = listener.accept()[0]
            if mode == 'hang':
                held.append(client)
            else:
                Pair(client)
        else:
            try:
                key.data.ready(key.fileobj)
            except OSError:
                key.data.close()
