#!/usr/bin/env python3
"""refs.py NAME < LDIF: the objects of an IP Security container that the policies of this name are made
of.  Says every reference that names nothing and every one that has no counterpart; else how many
objects there are: "policies rules lists actions"."""
import base64
import sys

FORWARD = {'ipsecisakmpreference', 'ipsecnfareference', 'ipsecnegotiationpolicyreference', 'ipsecfilterreference'}
OWNER = 'ipsecownersreference'


def records(text):
    for block in text.replace('\r', '').replace('\n ', '').split('\n\n'):
        attrs = {}
        for line in block.split('\n'):
            name, sep, value = line.partition(':')
            if not sep or line.startswith('#'):
                continue
            if value.startswith(':'):
                value = base64.b64decode(value[1:]).decode('utf-8', 'replace')
            attrs.setdefault(name.lower(), []).append(value.strip())
        if 'dn' in attrs:
            yield attrs['dn'][0].lower(), attrs


objects = dict(records(sys.stdin.read()))
queue = [dn for dn, a in objects.items() if dn.startswith('cn=ipsecpolicy') and a.get('ipsecname', [''])[0] == sys.argv[1]]
seen, bad = set(), []
while queue:
    dn = queue.pop()
    if dn in seen:
        continue
    seen.add(dn)
    for name in FORWARD & set(objects[dn]):
        for to in (v.lower() for v in objects[dn][name]):
            if to not in objects:
                bad.append('%s: %s names nothing: %s' % (dn, name, to))
                continue
            if dn not in [v.lower() for v in objects[to].get(OWNER, [])]:
                bad.append('%s: %s is not its owner' % (to, dn))
            queue.append(to)
for dn in seen:
    for owner in (v.lower() for v in objects[dn].get(OWNER, [])):
        refs = [v.lower() for name in FORWARD for v in objects.get(owner, {}).get(name, [])]
        if dn not in refs:
            bad.append('%s: its owner %s does not refer to it' % (dn, owner))
print('\n'.join(sorted(bad)) or ' '.join(str(sum(dn.startswith('cn=%s{' % c) for dn in seen)) for c in
                                        ('ipsecpolicy', 'ipsecnfa', 'ipsecfilter', 'ipsecnegotiationpolicy')))
