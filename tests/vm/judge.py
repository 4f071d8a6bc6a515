#!/usr/bin/env python3
"""judge.py WINDOWS CAPTURE.pcap...: was there a packet in clear that the policy in force forbids?
judge.py --self-test

WINDOWS has one statement a line; times are seconds since the epoch:
  open TIME ID SOURCE DESTINATION PROTOCOL PORT NAME...
  close TIME ID
      From open to close (or to the end) a packet in clear from SOURCE to DESTINATION (networks) is
      forbidden.  PROTOCOL: any, tcp, udp, icmp, a number; PORT: 0 for any, else that of either side.
  want FROM TO MIN MAX SOURCE DESTINATION KIND PORT NAME...
      So many packets of a KIND were seen: esp, ah, ike, clear, or a protocol in clear.  MAX 0: no limit, "-": none at all.
In clear is all that is not ESP, AH, IKE, ARP or neighbour discovery.  What cannot be parsed is in clear.
One line a statement: "ok   wire: NAME (how many)" or "FAIL wire: NAME", and the packets."""
import ipaddress
import struct
import sys

PROTOCOLS = {'icmp': 1, 'tcp': 6, 'udp': 17}
EXTENSIONS = (0, 43, 60)
ESP, AH, FRAGMENT, ICMP6 = 50, 51, 44, 58
ANY4, ANY6 = ipaddress.ip_network('0.0.0.0/0'), ipaddress.ip_network('::/0')


class Packet:
    """kind: esp, ah, ike, nd, clear.  ports: None where they cannot be seen."""
    def __init__(self, time, src, dst, proto, kind, ports=None, text=''):
        self.time, self.src, self.dst, self.proto, self.kind, self.ports, self.text = time, src, dst, proto, kind, ports, text

    def __str__(self):
        ports = ' ports %d > %d' % self.ports if self.ports else ''
        return '%.6f %s > %s protocol %s%s%s' % (self.time, self.src, self.dst, self.proto, ports, self.text)


def inner(time, src, dst, proto, payload, first):
    """A packet from its protocol number and what follows the network header."""
    if proto == ESP:
        return Packet(time, src, dst, proto, 'esp')
    if proto == AH:
        return Packet(time, src, dst, proto, 'ah')
    ports = None
    if first and proto in (6, 17) and len(payload) >= 4:
        ports = struct.unpack('>HH', payload[:4])
        if proto == 17 and (set(ports) & {500, 4500}):
            return Packet(time, src, dst, proto, 'ike', ports)
    if first and proto == ICMP6 and payload and 133 <= payload[0] <= 137:
        return Packet(time, src, dst, proto, 'nd')
    return Packet(time, src, dst, proto, 'clear', ports, '' if first else ' (later fragment)')


def parse4(time, b):
    if len(b) < 20 or (b[0] & 15) < 5:
        return Packet(time, None, None, None, 'clear', None, ' (damaged)')
    src, dst = ipaddress.IPv4Address(b[12:16]), ipaddress.IPv4Address(b[16:20])
    offset = struct.unpack('>H', b[6:8])[0] & 0x1fff
    return inner(time, src, dst, b[9], b[(b[0] & 15) * 4:], offset == 0)


def parse6(time, b):
    if len(b) < 40:
        return Packet(time, None, None, None, 'clear', None, ' (damaged)')
    src, dst = ipaddress.IPv6Address(b[8:24]), ipaddress.IPv6Address(b[24:40])
    proto, b, first = b[6], b[40:], True
    while proto in EXTENSIONS or proto == FRAGMENT:
        if len(b) < 8:
            return Packet(time, src, dst, proto, 'clear', None, ' (damaged)')
        length = 8
        if proto == FRAGMENT:
            first = first and struct.unpack('>H', b[2:4])[0] & 0xfff8 == 0
        else:
            length = (b[1] + 1) * 8
        proto, b = b[0], b[length:]
        if not first:
            break
    return inner(time, src, dst, proto, b, first)


def parse(time, frame):
    """A Packet, or None for what is not IP."""
    if len(frame) < 14:
        return Packet(time, None, None, None, 'clear', None, ' (damaged)')
    kind, at = struct.unpack('>H', frame[12:14])[0], 14
    while kind in (0x8100, 0x88a8) and len(frame) >= at + 4:
        kind, at = struct.unpack('>H', frame[at + 2:at + 4])[0], at + 4
    if kind == 0x0800:
        return parse4(time, frame[at:])
    if kind == 0x86dd:
        return parse6(time, frame[at:])
    return None


def packets(file):
    """Those of a capture file, which must be whole but for its end."""
    head = file.read(24)
    if len(head) < 24:
        raise SystemExit('judge: the capture is empty')
    order, unit = {b'\xd4\xc3\xb2\xa1': ('<', 1e6), b'\xa1\xb2\xc3\xd4': ('>', 1e6),
                   b'\x4d\x3c\xb2\xa1': ('<', 1e9), b'\xa1\xb2\x3c\x4d': ('>', 1e9)}[head[:4]]
    if struct.unpack(order + 'I', head[20:24])[0] != 1:
        raise SystemExit('judge: the capture is not of an Ethernet')
    while True:
        h = file.read(16)
        if len(h) < 16:
            return
        sec, frac, size, _ = struct.unpack(order + 'IIII', h)
        p = parse(sec + frac / unit, file.read(size))
        if p:
            yield p


def network(text):
    return None if text == 'any' else ipaddress.ip_network(text)


def inside(address, net):
    # What could not be parsed may be anything.
    return net is None or address is None or (address.version == net.version and address in net)


class Match:
    def __init__(self, src, dst, proto, port):
        self.src, self.dst = network(src), network(dst)
        self.proto = None if proto == 'any' else PROTOCOLS.get(proto) or int(proto)
        self.port = int(port)

    def __call__(self, p):
        if not inside(p.src, self.src) or not inside(p.dst, self.dst):
            return False
        if self.proto is not None and p.proto is not None and p.proto != self.proto and not (self.proto == 1 and p.proto == ICMP6):
            return False
        return not self.port or p.ports is None or self.port in p.ports


class Forbid(Match):
    def __init__(self, time, words):
        self.ident, src, dst, proto, port, self.name = words[0], *words[1:5], ' '.join(words[5:])
        super().__init__(src, dst, proto, port)
        self.start, self.end, self.found, self.protected = float(time), float('inf'), [], 0

    def take(self, p):
        if not self.start <= p.time < self.end:
            return
        if p.kind != 'clear':
            self.protected += inside(p.src, self.src) and inside(p.dst, self.dst)
        elif self(p):
            self.found.append(p)

    def verdict(self):
        return not self.found, '%d in clear, %d otherwise' % (len(self.found), self.protected), self.found


class Want(Match):
    def __init__(self, words):
        self.start, self.end, self.min = float(words[0]), float(words[1]), int(words[2])
        self.max = {'0': float('inf'), '-': 0}.get(words[3]) if words[3] in '0-' else int(words[3])
        self.kind, self.name, self.found = words[6], ' '.join(words[8:]), []
        proto = 'any' if self.kind in ('esp', 'ah', 'ike', 'clear') else self.kind
        super().__init__(words[4], words[5], proto, words[7])
        self.kind = 'clear' if proto != 'any' else self.kind

    def take(self, p):
        if self.start <= p.time < self.end and p.kind == self.kind and self(p):
            self.found.append(p)

    def verdict(self):
        good = self.min <= len(self.found) <= self.max
        return good, '%d %s, wanted at least %d%s' % (len(self.found), self.kind, self.min,
            '' if self.max == float('inf') else ', at most %d' % self.max), self.found


def statements(lines):
    all_, open_ = [], {}
    for line in lines:
        w = line.split()
        if w[0] == 'open':
            if w[2] in open_:
                raise SystemExit('judge: %s is open already' % w[2])
            open_[w[2]] = Forbid(w[1], w[2:])
            all_.append(open_[w[2]])
        elif w[0] == 'close':
            open_.pop(w[2]).end = float(w[1])
        elif w[0] == 'want':
            all_.append(Want(w[1:]))
        else:
            raise SystemExit('judge: what is this: ' + line)
    return all_


def judge(windows, captures, say=print):
    """The number of statements that do not hold."""
    failed = 0
    for c in captures:
        for p in c:
            for s in windows:
                s.take(p)
    for s in windows:
        good, what, found = s.verdict()
        if good:
            say('ok   wire: %s (%s)' % (s.name, what))
            continue
        failed += 1
        say('FAIL wire: %s (%s)' % (s.name, what))
        for p in found[:5]:
            say('     | %s' % p)
    return failed


# ---- the judge before the judge ----
def eth(kind, payload):
    return bytes(12) + struct.pack('>H', kind) + payload


def ip4(src, dst, proto, payload=b'', offset=0):
    return eth(0x0800, struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(payload), 1, offset, 64, proto, 0) +
               ipaddress.IPv4Address(src).packed + ipaddress.IPv4Address(dst).packed + payload)


def ip6(src, dst, proto, payload=b''):
    return eth(0x86dd, struct.pack('>IHBB', 6 << 28, len(payload), proto, 64) +
               ipaddress.IPv6Address(src).packed + ipaddress.IPv6Address(dst).packed + payload)


def ports(a, b):
    return struct.pack('>HH', a, b) + bytes(16)


A, B, C = '10.9.0.1', '10.9.0.2', '10.9.0.3'
A6, B6 = 'fd09::1', 'fd09::2'
# Window, frame, whether it breaks the window.
CASES = (
    ('tcp in clear', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 6, ports(40000, 7777)), True),
    ('the other way', (A + '/32', B + '/32', 'any', '0'), ip4(B, A, 6, ports(7777, 40000)), False),
    ('ping in clear', (A + '/32', 'any', 'any', '0'), ip4(A, B, 1, b'\x08' + bytes(7)), True),
    ('any source', ('any', B + '/32', 'any', '0'), ip4(C, B, 17, ports(1, 2)), True),
    ('networks', ('10.9.0.0/24', '10.9.0.0/24', 'any', '0'), ip4(A, C, 6, ports(1, 2)), True),
    ('not in the network', ('10.8.0.0/24', 'any', 'any', '0'), ip4(A, C, 6, ports(1, 2)), False),
    ('esp', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 50, bytes(40)), False),
    ('ah', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 51, bytes(40)), False),
    ('ike', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 17, ports(500, 500)), False),
    ('ike over 4500', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 17, ports(4500, 4500)), False),
    ('tcp 500 is no ike', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 6, ports(500, 500)), True),
    ('arp', ('any', 'any', 'any', '0'), eth(0x0806, bytes(28)), False),
    ('neighbour discovery', ('any', 'any', 'any', '0'), ip6(A6, B6, 58, b'\x87' + bytes(20)), False),
    ('ping over IPv6', (A6 + '/128', B6 + '/128', 'any', '0'), ip6(A6, B6, 58, b'\x80' + bytes(20)), True),
    ('ping is ping', (A6 + '/128', B6 + '/128', 'icmp', '0'), ip6(A6, B6, 58, b'\x80' + bytes(20)), True),
    ('tcp behind extension headers', (A6 + '/128', 'any', 'tcp', '7777'), ip6(A6, B6, 60, b'\x06' + bytes(7) + ports(1, 7777)), True),
    ('esp behind extension headers', (A6 + '/128', 'any', 'any', '0'), ip6(A6, B6, 60, b'\x32' + bytes(7) + bytes(40)), False),
    ('its port', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 6, ports(40000, 7777)), True),
    ('its port as source', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 6, ports(7777, 40000)), True),
    ('another port', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 6, ports(40000, 8888)), False),
    ('another protocol', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 17, ports(40000, 7777)), False),
    ('a later fragment has no ports', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 6, ports(1, 2), 100), True),
    ('a first fragment has', (A + '/32', 'any', 'tcp', '7777'), ip4(A, B, 6, ports(1, 2), 0x2000), False),
    ('a VLAN', (A + '/32', B + '/32', 'any', '0'), eth(0x8100, b'\0\1\x08\0' + ip4(A, B, 6, ports(1, 2))[14:]), True),
    ('cut short', ('any', 'any', 'any', '0'), ip4(A, B, 6)[:20], True),
    ('IPv4 inside IPv4', (A + '/32', B + '/32', 'any', '0'), ip4(A, B, 4, ip4(A, B, 50)[14:]), True),
)


def self_test():
    failed = 0
    quiet = lambda line: None

    def expect(name, good):
        nonlocal failed
        failed += not good
        if not good:
            print('FAIL judge: ' + name)

    def file(*frames):
        import io
        out = struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
        for time, f in frames:
            out += struct.pack('<IIII', int(time), round(time % 1 * 1e6), len(f), len(f)) + f
        return packets(io.BytesIO(out))

    for name, (src, dst, proto, port), frame, broken in CASES:
        w = statements(['open 10 w %s %s %s %s x' % (src, dst, proto, port)])
        expect(name, judge(w, [file((10.5, frame))], quiet) == broken)
    clear = ip4(A, B, 6, ports(1, 2))
    window = ['open 10 w any any any 0 x', 'close 20 w', 'open 30 w any any any 0 y']
    for time, broken in ((9.999, 0), (10, 1), (19.999, 1), (20, 0), (29.999, 0), (30, 1), (99, 1)):
        expect('time %s' % time, judge(statements(window), [file((time, clear))], quiet) == broken)
    for count, low, high, failing in ((3, 3, '0', 0), (2, 3, '0', 1), (0, 0, '-', 0), (1, 0, '-', 1), (3, 1, '2', 1), (0, 0, '0', 0)):
        w = statements(['want 1 2 %d %s any any tcp 0 x' % (low, high)])
        expect('%d packets, %d to %s' % (count, low, high), judge(w, [file(*[(1.5, clear)] * count)], quiet) == failing)
    expect('esp is counted', judge(statements(['want 1 2 1 0 any any esp 0 x']), [file((1.5, ip4(A, B, 50)))], quiet) == 0)
    expect('two captures', judge(statements(window), [file((1, clear)), file((10, clear))], quiet) == 1)
    print('%d judgements, %d wrong' % (len(CASES) + 15, failed))
    return failed


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(self_test() != 0)
    sys.exit(judge(statements(open(sys.argv[1])), [packets(open(f, 'rb')) for f in sys.argv[2:]]) != 0)
