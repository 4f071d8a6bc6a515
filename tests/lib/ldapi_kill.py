#!/usr/bin/env python3
"""ldapi_kill.py LISTEN TARGET N: a Unix socket in front of an LDAP server's.  The client whose Nth
write (add, modify, delete) the server has answered is killed before it sees the answer; N 0: nobody is.
Says how many writes there were, and ends, when the client is gone."""
import os
import signal
import socket
import struct
import sys
import threading

listen, target, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
ANSWERS = {0x67, 0x69, 0x6b}


def length(b):
    """Of the length's own bytes, and what it says; None: not all of it is there yet."""
    if not b:
        return None
    if b[0] < 0x80:
        return 1, b[0]
    n = b[0] & 0x7f
    return (1 + n, int.from_bytes(b[1:1 + n], 'big')) if len(b) > n else None


def message(b):
    """One whole LDAP message at the beginning of b."""
    l = length(b[1:])
    if not l or len(b) < 1 + sum(l):
        return None
    return b[:1 + sum(l)]


def operation(m):
    p = 1 + length(m[1:])[0]
    return m[p + 2 + m[p + 1]]


def forward(src, dst):
    while True:
        data = src.recv(65536)
        if not data:
            break
        dst.sendall(data)
    dst.shutdown(socket.SHUT_WR)


server = socket.socket(socket.AF_UNIX)
server.bind(listen)
server.listen()
print('ready', flush=True)
signal.alarm(30)
client, _ = server.accept()
pid = struct.unpack('3i', client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
up = socket.socket(socket.AF_UNIX)
up.connect(target)
threading.Thread(target=forward, args=(client, up), daemon=True).start()
buf, n = b'', 0
while True:
    data = up.recv(65536)
    if not data:
        break
    buf += data
    while True:
        m = message(buf)
        if not m:
            break
        buf = buf[len(m):]
        if operation(m) in ANSWERS:
            n += 1
            if n == limit:
                os.kill(pid, signal.SIGKILL)
                print(n, 'killed', flush=True)
                os._exit(0)
        try:
            client.sendall(m)
        except OSError:
            break
print(n, 'writes', flush=True)
