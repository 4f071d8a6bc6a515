"""packets.py BUILD DIR: what a packet costs, and what applying a large table costs.

Each table lives in a network namespace of its own for the whole run.  A round measures
them all in turn (bench/flood.c); the figures are medians of ROUNDS rounds.  Applying is
measured APPLY_ROUNDS times."""
import atexit
import ipaddress
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time

build, top = sys.argv[1], sys.argv[2]
rounds = int(os.environ.get('ROUNDS', '15'))
apply_rounds = int(os.environ.get('APPLY_ROUNDS', '3'))
many, few = int(os.environ.get('MANY', '100000')), int(os.environ.get('FEW', '10000'))
SECONDS = '0.15'
nfttool, flood = build + '/tests/nfttool', build + '/bench/flood'
ME4, ME6 = '192.0.2.1', '2001:db8:ffff::1'
random.seed(20261123)


class Namespace:
    def __init__(self):
        self.p = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
        atexit.register(self.p.kill)
        mine = os.readlink('/proc/self/ns/net')
        while os.readlink('/proc/%d/ns/net' % self.p.pid) == mine:
            time.sleep(0.01)
        self.run('sh', '-c', 'ip link set lo up; ip tuntap add mode tun name tun0; ip link set tun0 up; '
                 'ip addr add %s/32 dev tun0; ip addr add %s/128 dev tun0 nodad; '
                 'ip route add default dev tun0; ip -6 route add default dev tun0' % (ME4, ME6))

    def command(self, *args):
        return ['nsenter', '-t', str(self.p.pid), '-n', *args]

    def run(self, *args, **kw):
        p = subprocess.run(self.command(*args), capture_output=True, text=True, **kw)
        if p.returncode:
            raise RuntimeError('%s: %s' % (' '.join(args), p.stderr.strip()[-300:]))
        return p.stdout

    def end(self):
        self.p.kill()
        self.p.wait()


# ---- filters: (address, prefix length or None for any, protocol or None, source port or None, destination port or None);
# a range of ports is a pair, one of addresses an address "LOW-HIGH" without a length

def address4(octet, i):
    """The i-th network of the eight shapes' own parts of the address space."""
    return '%d.%d.%d.%d' % (octet, i >> 16 & 255, i >> 8 & 255, i & 255)


def eight_shapes(n, six):
    """n filters, eight shapes in turn, most specific first; what one matches no other does."""
    filters = []
    for k in range(8):
        for i in range(n // 8):
            bits = (32, 32, 32, 32, 24, 24, 16, None)[k]
            udp, sport, dport = k != 3 and 'udp', k == 1 and 20000 + i % 1000, k in (0, 1, 4, 6, 7) and 1000 + i % 50
            if k == 7:
                dport = 20000 + i
            addr = bits and (address4(11 + k, i) if bits == 32 else address4(20 + k, i << 8) if bits == 24 else address4(64 + (i >> 8), i << 16))
            if six and bits:
                bits = {32: 128, 24: 64, 16: 48}[bits]
                addr = '%s' % ipaddress.ip_address('2001:%x:%x::%s' % (0x1000 * (k + 1) + (i >> 12), i & 0xfff, '1' if bits == 128 else '0'))
            elif six:
                addr = None
            filters.append((addr or None, bits, udp or None, sport or None, dport or None))
    return filters


def own_ranges(n, six):
    """A range of ports for each address."""
    addr = (lambda i: str(ipaddress.ip_address('2001:1000:%x::1' % i))) if six else (lambda i: address4(11, i))
    return [(addr(i), 128 if six else 32, 'udp', None, (1000 + i % 500, 1100 + i % 500 + i % 37)) for i in range(n)]


def any_range():
    """Of ports, of any width."""
    low = random.randrange(1, 60000)
    return low, min(65535, low + random.randrange(1, 2 ** random.randrange(1, 13)))


def overlapping_ranges(n):
    """Ranges of all widths on top of each other, for every address."""
    return [(None, None, 'udp', None, any_range()) for _ in range(n)]


def crossing_ranges(n):
    """The same of remote and of local ports in turn: neither kind can be asked for as a whole before the other."""
    return [(None, None, 'udp') + ((any_range(), None) if i % 2 else (None, any_range())) for i in range(n)]


def address_ranges(n):
    """Ranges of addresses of all widths on top of each other."""
    r = []
    for i in range(n):
        low = random.randrange(11 << 24, 12 << 24) | 1
        r.append(('%s-%s' % tuple(map(ipaddress.ip_address, (low, low + random.randrange(1, 2 ** random.randrange(1, 13))))),
                  None, 'udp', None, 53))
    return r


def ports(p):
    return '*' if p is None else '%d-%d' % p if isinstance(p, tuple) else str(p)


def as_policy(filters, six):
    lines = ['rule permit Bench']
    for addr, bits, proto, sport, dport in filters:
        other = '%s/%d' % (addr, bits) if bits else addr or ('::/0' if six else 'any')
        lines.append('filter me %s %s %s %s mirrored' % (other, proto or 'any', ports(sport), ports(dport)))
    return '\n'.join(lines) + '\n'


def as_nft(filters, six):
    lines = ['table inet rules {', 'chain out {', 'type filter hook output priority 0; policy accept;']
    for addr, bits, proto, sport, dport in filters:
        words = []
        if addr:
            words.append('%s daddr %s' % ('ip6' if six else 'ip', '%s/%d' % (addr, bits) if bits else addr))
        if sport:
            words.append('%s sport %s' % (proto, ports(sport)))
        if dport:
            words.append('%s dport %s' % (proto, ports(dport)))
        if proto and not sport and not dport:
            words.append('meta l4proto ' + proto)
        lines.append(' '.join(words) + ' accept')
    return '\n'.join(lines) + '\n}\n}\n'


def as_iptables(filters):
    lines = ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]']
    for addr, bits, proto, sport, dport in filters:
        words = ['-A OUTPUT']
        if addr:
            words.append('-d %s/%d' % (addr, bits) if bits else '-m iprange --dst-range ' + addr)
        if proto:
            words.append('-p ' + proto)
        if sport:
            words.append('--sport ' + ports(sport).replace('-', ':'))
        if dport:
            words.append('--dport ' + ports(dport).replace('-', ':'))
        lines.append(' '.join(words) + ' -j ACCEPT')
    return '\n'.join(lines) + '\nCOMMIT\n'


def inside(p):
    return random.randint(*p) if isinstance(p, tuple) else p


def hits(filters, six, n=20000):
    """Packets, each matched by one filter drawn by lot, as (remote address, protocol, local port, remote port)."""
    r = []
    for _ in range(n):
        addr, bits, proto, sport, dport = random.choice(filters)
        addr = addr and addr.split('-')[0]
        r.append((addr and addr + ('1' if addr.endswith('::') else '') or ('2001:ffff::1' if six else '201.1.2.3'),
                  proto or 'udp', inside(sport) or 7, inside(dport) or 9))
    return r


def misses(six, n=20000):
    return [('2001:ffff::%x' % i if six else address4(201, i), 'udp', 7, 9) for i in range(n)]


def write(name, text):
    path = '%s/%s' % (top, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def write_packets(name, packets, six):
    me = ME6 if six else ME4
    out = write(name + '.out', ''.join('%s %s %s %d %d\n' % (me, a, p, s, d) for a, p, s, d in packets))
    into = write(name + '.in', ''.join('%s %s %s %d %d\n' % (a, me, p, d, s) for a, p, s, d in packets))
    return {'out': out, 'in': into}


# ---- cases: a name and tables; each table is loaded once and measured with the packets

class Table:
    """what: what to show; load: called with the namespace; None: no table."""

    def __init__(self, what, load, ways=('out',)):
        self.what, self.ways, self.ns, self.failed = what, ways, Namespace(), None
        self.times = {}
        try:
            if load:
                load(self.ns)
        except RuntimeError as e:
            self.failed = str(e)

    def measure(self, way, packets, kind):
        if not self.failed and way in self.ways:
            self.times.setdefault((way, kind), []).append(float(self.ns.run(flood, way, packets, SECONDS)))

    def median(self, way, kind):
        t = self.times.get((way, kind))
        return round(statistics.median(t), 1) if t else None


def ours(name, filters, six=False):
    path = write(name + '.policy', as_policy(filters, six))
    return lambda ns: ns.run(nfttool, 'watch', path, stdin=subprocess.DEVNULL)


def nft(name, filters, six=False):
    path = write(name + '.nft', as_nft(filters, six))
    return lambda ns: ns.run('nft', '-f', path)


def iptables(name, filters, kind):
    path = write(name + '.iptables', as_iptables(filters))
    return lambda ns: ns.run('sh', '-c', 'iptables-%s-restore <%s' % (kind, path))


BOTH = ('out', 'in')


def case(title, name, filters, six, lists):
    """One group of tables that see the same packets."""
    files = {'hit': write_packets(name + '.hit', hits(filters, six), six), 'miss': write_packets(name + '.miss', misses(six), six)}
    tables = [Table('no table', None, BOTH), Table('one filter', ours(name + '.one', filters[:1], six), BOTH),
              Table('%d filters' % len(filters), ours(name, filters, six), BOTH)]
    if lists:
        tables.append(Table('nft rules', nft(name, filters, six)))
        if not six:
            tables.append(Table('iptables-nft', iptables(name, filters, 'nft')))
            tables.append(Table('iptables-legacy', iptables(name, filters, 'legacy')))
    return {'title': title, 'tables': tables, 'files': files}


def cases():
    yield case('%d filters of 8 shapes, IPv4' % many, 'v4', eight_shapes(many, False), False, False)
    yield case('%d filters of 8 shapes, IPv6' % many, 'v6', eight_shapes(many, True), True, False)
    yield case('%d filters of 8 shapes, IPv4' % few, 'few4', eight_shapes(few, False), False, True)
    yield case('%d filters of 8 shapes, IPv6' % few, 'few6', eight_shapes(few, True), True, True)
    yield case('%d addresses with a port range each, IPv4' % few, 'own4', own_ranges(few, False), False, True)
    yield case('%d addresses with a port range each, IPv6' % few, 'own6', own_ranges(few, True), True, True)
    yield case('%d overlapping port ranges' % few, 'lap', overlapping_ranges(few), False, True)
    yield case('%d port ranges of either side, overlapping' % few, 'cross', crossing_ranges(few), False, True)
    yield case('%d overlapping address ranges' % few, 'addr', address_ranges(few), False, True)


def measure(c):
    for _ in range(rounds):
        for kind, files in c['files'].items():
            for way in BOTH:
                for t in c['tables']:
                    t.measure(way, files[way], kind)
    r = {'title': c['title'], 'tables': []}
    for t in c['tables']:
        ns = {'%s_%s_ns' % (way, kind): t.median(way, kind) for way in BOTH for kind in c['files']}
        r['tables'].append({'what': t.what, 'failed': t.failed, **ns})
        t.ns.end()
    return r


def ratio(a, b):
    return '%.2f' % (a / b) if a and b else ''


def own_cost(t, r, key):
    """What the table adds to a packet without any."""
    return t[key] - r['tables'][0][key] if t[key] else None


WAYS = ('out_hit_ns', 'out_miss_ns', 'in_hit_ns', 'in_miss_ns')


def line(what, cells, notes=''):
    print('  %-20s %s   %s' % (what, ' '.join('%10s' % c for c in cells), notes))


def show(r):
    print()
    line('ns a packet', ('out, hit', 'out, miss', 'in, hit', 'in, miss'), r['title'])
    one, mine = r['tables'][1], r['tables'][2]
    for t in r['tables']:
        if t['failed']:
            line(t['what'], (), t['failed'])
            continue
        notes = ''
        if t not in r['tables'][:3] and not mine['failed']:
            notes = '%s times ours; less what no table costs, %s' % (ratio(t['out_hit_ns'], mine['out_hit_ns']),
                    ratio(own_cost(t, r, 'out_hit_ns'), own_cost(mine, r, 'out_hit_ns')))
        line(t['what'], ['' if t[k] is None else '%.0f' % t[k] for k in WAYS], notes)
        if t is mine and not one['failed']:
            line('  to one filter', [ratio(t[k], one[k]) for k in WAYS])


# ---- applying

def spent(ns, *args):
    """Seconds and peak memory in MiB of one command."""
    before = time.monotonic()
    p = subprocess.Popen(ns.command(*args), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise RuntimeError(text.decode()[-300:])
    return time.monotonic() - before, usage.ru_maxrss / 1024


def apply_ours(path):
    """From the policy in memory to the table read back: `create` of nfttool's bench, and rendering."""
    ns = Namespace()
    laps = {m[0]: (float(m[1]), int(m[2])) for m in
            re.findall(r'^(\w+) +([\d.]+) s, +(\d+) MB', ns.run(nfttool, 'bench', path), re.M)[:2]}
    ns.end()
    return laps['render'][0] + laps['create'][0], laps['create'][1]


def apply_nft(path):
    ns = Namespace()
    r = spent(ns, 'nft', '-f', path)
    ns.end()
    return r


def apply_cost():
    policy = write('big.policy', subprocess.run([nfttool, 'big', str(many)], capture_output=True, text=True, check=True).stdout)
    table = write('big.nft', subprocess.run([nfttool, 'write', policy], capture_output=True, text=True, check=True).stdout)
    runs = [(apply_ours(policy), apply_nft(table)) for _ in range(apply_rounds)]
    mid = lambda i, k: round(statistics.median(r[i][k] for r in runs), 3)
    return {'filters': many, 'ours': {'seconds': mid(0, 0), 'mib': mid(0, 1)}, 'nft_f': {'seconds': mid(1, 0), 'mib': mid(1, 1)}}


def show_apply(a):
    print('\n%d filters from policy to kernel%30s %s' % (a['filters'], 'seconds', 'peak MiB'))
    print('  rendered, committed, read back %32.2f %8.0f' % (a['ours']['seconds'], a['ours']['mib']))
    print('  nft -f with the equal table    %32.2f %8.0f' % (a['nft_f']['seconds'], a['nft_f']['mib']))
    print('  ratio                          %32.2f %8.2f' % (a['ours']['seconds'] / a['nft_f']['seconds'], a['ours']['mib'] / a['nft_f']['mib']))


def version(*args):
    return subprocess.run(args, capture_output=True, text=True).stdout.strip().split('\n')[0]


def main():
    result = {'date': time.strftime('%Y-%m-%d'), 'machine': '%d cores, %s' % (os.cpu_count(), platform.machine()),
              'kernel': platform.release(), 'nft': version('nft', '--version'), 'iptables': version('iptables', '--version'),
              'rounds': rounds, 'apply_rounds': apply_rounds, 'cases': []}
    print('%(date)s, %(machine)s, kernel %(kernel)s, %(nft)s, %(iptables)s; medians of %(rounds)d' % result)
    for c in cases():
        r = measure(c)
        result['cases'].append(r)
        show(r)
        sys.stdout.flush()
    try:
        result['apply'] = apply_cost()
        show_apply(result['apply'])
    except (RuntimeError, KeyError, subprocess.CalledProcessError) as e:
        print('applying: %s' % e)
    with open(build + '/bench-packets.json', 'w') as f:
        json.dump(result, f, indent=1)
    print('hit: matched by a filter drawn by lot; miss: by none; one filter: a table of ours with the first of them alone')


main()
