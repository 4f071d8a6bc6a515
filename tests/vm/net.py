#!/usr/bin/env python3
"""net.py NAMESPACE...: traffic of all hosts from one process.  Commands on standard input, one answer each:

  probe NS DESTINATION PROTOCOL PORT SECONDS   "yes MS" or "no MS": was it echoed?  Protocols: tcp udp icmp
  stream ID NS DESTINATION PROTOCOL PORT SECONDS   probes, one every SECONDS, until
  stop ID                                      "SENT ANSWERED"
  got NS PROTOCOL PORT                         how many packets (udp) or connections (tcp) its server has had
  connect ID NS DESTINATION PORT SECONDS       a TCP connection that stays
  talk ID SECONDS                              "yes MS" or "no MS": echoed over that connection?
  raw NS DESTINATION PORT                      a TCP segment from a raw socket, whose ports the kernel does not look at
In each namespace, TCP and UDP echo servers on PORTS."""
import collections
import ctypes
import os
import selectors
import socket
import struct
import sys
import threading
import time

PORTS = (7777, 8888, 9999)
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
counts = collections.Counter()
streams, connections = {}, {}


def enter(ns):
    """This thread lives in ns from now on; its sockets stay there."""
    fd = os.open('/run/netns/' + ns, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns ' + ns)
    os.close(fd)


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def serve(namespaces):
    sel = selectors.DefaultSelector()
    for ns in namespaces:
        enter(ns)
        for port in PORTS:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                s = socket.socket(socket.AF_INET6, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(('::', port))
                s.setblocking(False)
                if kind == socket.SOCK_STREAM:
                    s.listen(50)
                sel.register(s, selectors.EVENT_READ, (ns, port, kind))
    ready.set()
    while True:
        for key, _ in sel.select():
            try:
                echo(sel, key.fileobj, key.data)
            except OSError:
                if key.data is None:
                    sel.unregister(key.fileobj)
                    key.fileobj.close()


def echo(sel, s, data):
    if data is None:
        got = s.recv(1000)
        if not got:
            raise OSError('closed')
        s.sendall(got)
    elif data[2] == socket.SOCK_STREAM:
        c = s.accept()[0]
        c.setblocking(False)
        counts[data[0], 'tcp', data[1]] += 1
        sel.register(c, selectors.EVENT_READ, None)
    else:
        got, who = s.recvfrom(1000)
        counts[data[0], 'udp', data[1]] += 1
        s.sendto(got, who)


def checksum(data):
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ping_socket(to):
    """A socket, the request, and a function that knows the answer."""
    six = ':' in to
    s = socket.socket(family(to), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    s.connect((to, 0))
    ident = struct.pack('>HH', threading.get_native_id() & 0xffff, int(time.monotonic() * 1000) & 0xffff)
    request = bytes((128 if six else 8, 0, 0, 0)) + ident + bytes(32)
    request = request[:2] + struct.pack('>H', checksum(request)) + request[4:]

    def answers(got):
        got = got if six else got[(got[0] & 15) * 4:]
        return got[0] == (129 if six else 0) and got[4:8] == ident
    return s, request, answers


def ask(s, request, answers, seconds):
    """Sent again every second: the first may be lost while keys are made."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        again = min(end, time.monotonic() + 1)
        try:
            s.send(request)
        except OSError:
            # Refused by a rule.
            time.sleep(min(0.2, max(0, end - time.monotonic())))
            continue
        while time.monotonic() < again:
            s.settimeout(max(again - time.monotonic(), 0.001))
            try:
                if answers(s.recv(2000)):
                    return True
            except OSError:
                pass
    return False


def try_once(to, protocol, port, seconds):
    """Echoed?  In the namespace of the calling thread."""
    try:
        if protocol == 'icmp':
            s, request, answers = ping_socket(to)
            with s:
                return ask(s, request, answers, seconds)
        with socket.socket(family(to), socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM) as s:
            s.settimeout(seconds)
            s.connect((to, port))
            if protocol == 'udp':
                return ask(s, b'echo', lambda got: got == b'echo', seconds)
            s.sendall(b'echo')
            return s.recv(10) == b'echo'
    except OSError:
        return False


class Stream(threading.Thread):
    def __init__(self, ns, to, protocol, port, seconds):
        super().__init__(daemon=True)
        self.what, self.sent, self.answered, self.ended = (ns, to, protocol, port, seconds), 0, 0, False
        self.start()

    def run(self):
        ns, to, protocol, port, seconds = self.what
        enter(ns)
        while not self.ended:
            start = time.monotonic()
            self.sent += 1
            self.answered += try_once(to, protocol, port, seconds)
            time.sleep(max(0, seconds - (time.monotonic() - start)))


def in_namespace(ns, function):
    """The value of function(), called in ns."""
    box = []

    def run():
        enter(ns)
        box.append(function())
    t = threading.Thread(target=run)
    t.start()
    t.join()
    return box[0] if box else None


def timed(function):
    start = time.monotonic()
    good = function()
    return '%s %d' % ('yes' if good else 'no', (time.monotonic() - start) * 1000)


def talk(s, seconds):
    try:
        s.settimeout(seconds)
        s.sendall(b'talk')
        return s.recv(10) == b'talk'
    except OSError:
        return False


def connect(to, port, seconds):
    try:
        s = socket.socket(family(to))
        s.settimeout(seconds)
        s.connect((to, port))
        return s
    except OSError:
        return None


def raw(to, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    try:
        s.sendto(struct.pack('>HHIIBBHHH', 40000, port, 1, 0, 0x50, 2, 1000, 0, 0), (to, 0))
    except OSError:
        return False
    return True


def command(w):
    if w[0] == 'probe':
        return in_namespace(w[1], lambda: timed(lambda: try_once(w[2], w[3], int(w[4]), float(w[5]))))
    if w[0] == 'stream':
        streams[w[1]] = Stream(w[2], w[3], w[4], int(w[5]), float(w[6]))
        return 'started'
    if w[0] == 'stop':
        s = streams.pop(w[1])
        s.ended = True
        s.join()
        return '%d %d' % (s.sent, s.answered)
    if w[0] == 'got':
        return str(counts[w[1], w[2], int(w[3])])
    if w[0] == 'connect':
        connections[w[1]] = in_namespace(w[2], lambda: connect(w[3], int(w[4]), float(w[5])))
        return 'yes' if connections[w[1]] else 'no'
    if w[0] == 'talk':
        s = connections[w[1]]
        return timed(lambda: s is not None and talk(s, float(w[2])))
    if w[0] == 'raw':
        return 'yes' if in_namespace(w[1], lambda: raw(w[2], int(w[3]))) else 'no'
    return 'what?'


if __name__ == '__main__':
    ready = threading.Event()
    threading.Thread(target=serve, args=(sys.argv[1:],), daemon=True).start()
    ready.wait(30)
    print('ready', flush=True)
    for line in sys.stdin:
        try:
            answer = command(line.split())
        except Exception as e:
            answer = 'error %s' % e
        print(answer, flush=True)
