#!/usr/bin/python3
"""random_edits.py WORKER CONF ROUNDS SEED KEYTAB EXTRA.ldif EDIT-COMMAND...: edits a directory at random between
refreshes; each is done from memory and in full, and both have to find the same.

KEYTAB "": none.  EXTRA.ldif: objects of further policies, whose blobs the edits use too.  EDIT-COMMAND reads LDIF changes.
Prints what was read and kept; exit 1: a difference, or memory that was of no use."""
import base64
import os
import random
import re
import subprocess
import sys
import tempfile

worker, conf, rounds, seed, keytab, extra = sys.argv[1:7]
edit_command = sys.argv[7:]
rnd = random.Random(int(seed))
CLASSES = ('ipsecPolicy', 'ipsecISAKMPPolicy', 'ipsecNFA', 'ipsecNegotiationPolicy', 'ipsecFilter')


def memory_file(data):
    f = tempfile.TemporaryFile()
    f.write(data)
    f.flush()
    return f


def refresh(hints, memory):
    files = {'--hints-fd': memory_file(hints), '--memory-fd': memory_file(memory)}
    if keytab:
        files['--keytab-fd'] = open(keytab, 'rb')
    args, fds = [], [f.fileno() for f in files.values()]
    for name, f in files.items():
        args += [name, str(f.fileno())]
    out = subprocess.run([worker, '--config', conf, *args], pass_fds=fds, capture_output=True).stdout
    if not out.startswith(b'BEGIN'):
        sys.exit('no result: %s' % out[:400].decode())
    parts, pos = {}, out.index(b'\n') + 1
    while out[pos:pos + 5] == b'part ':
        end = out.index(b'\n', pos)
        name, n = out[pos + 5:end].split()
        parts[name.decode()] = out[end + 1:end + 1 + int(n)]
        pos = end + 2 + int(n)
    return parts


def records(text):
    for record in re.split(r'\n\n+', text.replace('\n ', '')):
        attrs = {}
        for line in record.split('\n'):
            if line and not line.startswith('#'):
                name, value = line.split(':', 1)
                value = base64.b64decode(value[1:]) if value.startswith(':') else value.strip().encode()
                attrs.setdefault(name.lower(), []).append(value)
        if 'dn' in attrs:
            yield attrs


class Directory:
    """What there is to edit, as it was in the beginning."""

    def __init__(self, snapshot, winner):
        self.objects = {c: {} for c in CLASSES}
        self.assignment, self.gone = None, None
        for r in list(records(snapshot)) + list(records(open(extra).read())):
            dn = r['dn'][0].decode().lower()
            for c in CLASSES:
                if c.lower() not in [v.lower().decode() for v in r.get('objectclass', [])]:
                    continue
                if not dn.startswith('cn=ipsec,'):
                    self.objects[c].setdefault(dn, r)
                elif winner.lower() in dn:
                    self.assignment = dn
        # Rules with a filter list: any of their lists and actions go together.
        self.rules = sorted(dn for dn, r in self.objects['ipsecNFA'].items() if 'ipsecfilterreference' in r)
        self.keys = [dn for dn in self.rules if '4e750000' in dn]
        self.lists = sorted({self.objects['ipsecNFA'][dn]['ipsecfilterreference'][0] for dn in self.rules})
        self.actions = sorted({self.objects['ipsecNFA'][dn]['ipsecnegotiationpolicyreference'][0] for dn in self.rules})
        if not all(self.objects.values()) or not self.assignment or len(self.keys) != 2:
            sys.exit('nothing to edit: %s, %s, %s' % (winner, self.assignment, self.keys))

    def any(self, c):
        return rnd.choice(sorted(self.objects[c]))

    def blob(self, dns):
        objects = [self.objects[c][dn] for c in CLASSES for dn in dns if dn in self.objects[c]]
        return rnd.choice([r['ipsecdata'][0] for r in objects if 'ipsecdata' in r])


def change(dn, op, attr, *values):
    lines = ['dn:: ' + base64.b64encode(dn.encode()).decode(), 'changetype: modify', '%s: %s' % (op, attr)]
    return '\n'.join(lines + ['%s:: %s' % (attr, base64.b64encode(v).decode()) for v in values] + ['-', '', ''])


def addition(dn, r):
    skip = ('dn', 'whenchanged', 'usnchanged', 'objectguid', 'entrycsn', 'entryuuid', 'cn')
    lines = ['dn:: ' + base64.b64encode(dn.encode()).decode(), 'changetype: add']
    return '\n'.join(lines + ['%s:: %s' % (k, base64.b64encode(v).decode()) for k, vs in r.items() if k not in skip for v in vs] + ['', ''])


def restored(d, dn):
    """It, and what referred to it: an AD has marked these references."""
    text = ''
    for objects in d.objects.values():
        if dn in objects:
            text += addition(dn, objects[dn])
    for objects in d.objects.values():
        for other, r in objects.items():
            for attr, values in r.items():
                if attr.endswith('reference') and attr != 'ipsecownersreference' and dn.encode() in [v.lower() for v in values]:
                    text += change(other, 'replace', attr, *values)
    return text


def edit(d):
    """One change as LDIF; references stay such that a policy is complete, most of the time."""
    if d.gone:
        dn, d.gone = d.gone, None
        return restored(d, dn)
    kind = rnd.randrange(12)
    if kind < 2:
        return change(d.any('ipsecFilter'), 'replace', 'ipsecData', d.blob(d.objects['ipsecFilter']))
    if kind == 2:
        return change(d.any('ipsecISAKMPPolicy'), 'replace', 'ipsecData', d.blob(d.objects['ipsecISAKMPPolicy']))
    if kind == 3:
        return change(rnd.choice(d.keys), 'replace', 'ipsecData', d.blob(d.keys))
    if kind < 6:
        return change(d.any(rnd.choice(CLASSES)), 'replace', rnd.choice(('ipsecName', 'description')), b'name %d' % rnd.randrange(5))
    if kind == 6:
        return change(rnd.choice(d.rules), 'replace', 'ipsecFilterReference', rnd.choice(d.lists))
    if kind == 7:
        return change(rnd.choice(d.keys), 'replace', 'ipsecNegotiationPolicyReference', rnd.choice(d.actions))
    if kind == 8:
        rules = rnd.sample(d.rules, rnd.randrange(1, 4)) + d.keys
        return change(d.any('ipsecPolicy'), 'replace', 'ipsecNFAReference', *sorted({r.encode() for r in rules}))
    if kind == 9:
        return change(d.assignment, 'replace', 'ipsecOwnersReference', d.any('ipsecPolicy').encode())
    if kind == 10:
        return change(d.any('ipsecPolicy'), 'replace', 'ipsecISAKMPReference', d.any('ipsecISAKMPPolicy').encode())
    if rnd.randrange(8) == 0:
        c = rnd.choice(('ipsecNFA', 'ipsecFilter'))
        dn = d.any(c)
        d.gone = dn
        return 'dn:: %s\nchangetype: delete\n\n' % base64.b64encode(dn.encode()).decode()
    return ''


def main():
    first = refresh(b'', b'')
    d = Directory(first['snapshot'].decode(), first['gpo'].decode())
    hints, memory = first['hints'], first['memory']
    read = kept = usable = keys = 0
    for n in range(int(rounds)):
        ldif = [edit(d) for _ in range(rnd.randrange(4))]
        for text in ldif:
            if text:
                subprocess.run(edit_command, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        now, full = refresh(hints, memory), refresh(hints, b'')
        for part in ('assignment', 'policy', 'refused', 'gpo', 'gpo-name', 'site', 'rsop.json'):
            if now.get(part) != full.get(part):
                sys.exit('round %d: %s differs after\n%s\n---- from memory\n%s\n---- in full\n%s' % (n, part, ''.join(ldif),
                         now.get(part, b'').decode(), full.get(part, b'').decode()))
        if b' 0 kept' not in full['cost']:
            sys.exit('a full read took something from memory')
        cost = re.match(rb'objects (\d+) read (\d+) kept', now['cost'])
        read, kept = read + int(cost.group(1)), kept + int(cost.group(2))
        usable += 'policy' in now
        if 'policy' not in now and os.environ.get('WHY'):
            print('round %d: %s' % (n, now.get('refused', b'').decode()))
        keys += b'auth preshared-key' in now.get('policy', b'')
        hints, memory = now['hints'], now.get('memory', memory)
    print('%s rounds: %d objects read, %d kept, %d usable policies, %d with a key' % (rounds, read, kept, usable, keys))
    if kept < 5 * int(rounds) or usable < int(rounds) / 2 or not keys:
        sys.exit('too little of it was what should be tested')


main()
