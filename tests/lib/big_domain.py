#!/usr/bin/env python3
"""big_domain.py COMPUTERS OUS GPOS [--odd | --ad]: the LDIF of a large domain, always the same for
the same numbers.  --odd: with a part of it damaged, hidden or contradictory; --ad: as one
computer's view of an AD, which tells tokens instead of groups."""
import base64
import random
import struct
import sys

N, OUS, GPOS = (int(a) for a in sys.argv[1:4])
ODD, AD = '--odd' in sys.argv, '--ad' in sys.argv
BASE = 'DC=corp,DC=example'
POLICIES, IPSEC = 'CN=Policies,CN=System,' + BASE, 'CN=IP Security,CN=System,' + BASE
DOMAIN = (21, 1111111111, 2222222222, 3333333333)
N_POLICIES, N_GROUPS = max(GPOS // 5, 3), max(N // 200, 12)
rnd = random.Random(4711)
out = []


def sid(*sub):
    return struct.pack('<BB6s%dI' % len(sub), 1, len(sub), b'\0\0\0\0\0\5', *sub)


def account(rid):
    return sid(*DOMAIN, rid)


def b64(data):
    return ': ' + base64.b64encode(data).decode()


def descriptor(*who):
    """Apply-Group-Policy for each; a negative RID is denied it."""
    right = struct.pack('<IHH8s', 0xedacfd8f, 0xffb3, 0x11d1, bytes.fromhex('b41d00a0c968f939'))
    aces = b''
    for w in who:
        s = sid(11) if w == 11 else account(abs(w))
        aces += struct.pack('<BBHII', 6 if w < 0 else 5, 0, 28 + len(s), 0x100, 1) + right + s
    acl = struct.pack('<BBHHH', 4, 0, 8 + len(aces), len(who), 0) + aces
    return struct.pack('<BBHIIII', 1, 0, 0x8004, 0, 0, 0, 20) + acl


def entry(dn, cls, *lines):
    out.append('dn: %s\nobjectClass: %s\n%s' % (dn, cls, ''.join(l + '\n' for l in lines)))


def guid(kind, n):
    return '{%08X-%04X-4000-8000-%012X}' % ((n * 2654435761) & 0xffffffff, kind, n)


def gpo_dn(n):
    return 'CN=%s,%s' % (guid(1, n), POLICIES)


def policy_dn(n):
    return 'CN=ipsecPolicy%s,%s' % (guid(2, n), IPSEC)


def chance(percent):
    return rnd.randrange(100) < percent


def links(n):
    text = ''
    for _ in range(n):
        text += '[LDAP://%s;%d]' % (gpo_dn(rnd.randrange(GPOS + (5 if ODD else 0))), rnd.choice((0, 0, 0, 0, 0, 0, 0, 1, 2)))
        if ODD and chance(3):
            text += rnd.choice(('[LDAP://nonsense;0]', '[', '[LDAP://CN=x,%s;1]' % BASE, '[LDAP://OU=1,%s;0]' % BASE))
    return ['gPLink: ' + text] if text else []


if AD:
    out.append('dn:\ndefaultNamingContext: %s\nconfigurationNamingContext: CN=Configuration,%s\n'
               'supportedCapabilities: 1.2.840.113556.1.4.800\n' % (BASE, BASE))
else:
    out.append('dn:\nobjectClass: top\ndefaultNamingContext: %s\nconfigurationNamingContext: CN=Configuration,%s\n' % (BASE, BASE))
entry(BASE, 'domainDNS', 'dc: corp', 'gPLink: [LDAP://%s;0][LDAP://%s;0]' % (gpo_dn(1), gpo_dn(0)))
for c in ('CN=System', 'CN=Computers', 'CN=Users', 'CN=Policies,CN=System', 'CN=IP Security,CN=System'):
    entry('%s,%s' % (c, BASE), 'container')
entry('CN=Branch,CN=Sites,CN=Configuration,' + BASE, 'site', *links(2))
# ---- OUs: a tree of a few levels
ous = []
for i in range(OUS):
    parent = BASE if i < 10 or not ous else ous[rnd.randrange(max(1, i // 8))]
    dn = 'OU=Unit %d,%s' % (i, parent)
    if dn.count('OU=') > 6:
        dn = 'OU=Unit %d,%s' % (i, BASE)
    ous.append(dn)
    more = links(rnd.choice((0, 1, 1, 2, 3)))
    if chance(4):
        more.append('gPOptions: 1')
    if ODD and chance(2):
        out.append(rnd.choice(('dn: %s\n' % dn, 'dn: %s\nobjectClass: container\n' % dn,
                               'dn: %s\nobjectClass: organizationalUnit\ngPOptions: x\n' % dn)))
        continue
    entry(dn, 'organizationalUnit', *more)
# ---- GPOs and policies
for i in range(N_POLICIES):
    if ODD and i == 1:
        out.append('dn: %s\n' % policy_dn(i))
    elif not (ODD and i == 2):
        entry(policy_dn(i), 'ipsecPolicy', 'ipsecName: policy %d' % i, 'ipsecID: ' + guid(2, i))
for i in range(GPOS):
    more = ['displayName: GPO %d' % i, 'gPCFunctionalityVersion: %d' % (3 if chance(2) else 2), 'flags: %d' % (2 if chance(3) else 0), 'versionNumber: 7']
    ipsec = chance(40)
    if i > 1 and chance(70):
        who = [1000 + rnd.randrange(N_GROUPS) for _ in range(rnd.randrange(1, 4))]
        if chance(20):
            who.insert(0, -(1000 + rnd.randrange(N_GROUPS)))
        if chance(5):
            who.append(100000 + rnd.randrange(N))
        if chance(5):
            who.append(515)
    else:
        who = [11]
    if AD or i % 10:
        d = descriptor(*who)
        more.append('nTSecurityDescriptor:' + b64(d[:-3] if ODD and chance(3) else d))
    if ipsec:
        more.append('gPCMachineExtensionNames: [{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{53D6AB1B}]'
                    '[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]')
    if chance(3):
        more.append('gPCWQLFilter: [corp.example;%s;0]' % guid(3, i))
    if ODD and chance(4):
        out.append('dn: %s\n' % gpo_dn(i))
        continue
    entry(gpo_dn(i), 'container' if ODD and chance(2) else 'groupPolicyContainer', *more)
    if ipsec and not (ODD and chance(3)):
        entry('CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,' + gpo_dn(i), 'ipsecPolicy', 'ipsecOwnersReference: ' + policy_dn(rnd.randrange(N_POLICIES)))
# ---- computers and groups
members = [[] for _ in range(N_GROUPS)]


def group_dn(i):
    return 'CN=group %d,CN=Users,%s' % (i, BASE)


above = [[] for _ in range(N_GROUPS)]       # what a group is a member of
for i in range(N_GROUPS):
    for _ in range(rnd.choice((0, 0, 1, 2))):
        j = rnd.randrange(N_GROUPS)
        members[j].append(group_dn(i))
        above[i].append(j)
plain = set(i for i in range(N_GROUPS) if chance(5))  # mailing lists


def closure(groups):
    seen, todo = set(), [g for g in groups if g not in plain]
    while todo:
        g = todo.pop()
        if g not in seen:
            seen.add(g)
            todo += [a for a in above[g] if a not in plain]
    return sorted(seen)


for i in range(N):
    where = rnd.choice(ous) if chance(95) else 'CN=Computers,' + BASE
    dn = 'CN=HOST%d,%s' % (i, where)
    mine = [rnd.randrange(N_GROUPS) for _ in range(rnd.choice((0, 1, 2, 3, 4)))]
    more = ['cn: HOST%d' % i, 'sAMAccountName: HOST%d$' % (i // 2 if ODD and i % 97 == 1 else i), 'dNSHostName: host%d.corp.example' % i,
            'objectSid:' + b64(account(100000 + i)), 'primaryGroupID: %d' % (516 if chance(2) else 515)]
    for k, g in enumerate(mine):
        if k == 3:
            more.append('memberOf: ' + group_dn(g))
        else:
            members[g].append(dn)
    if ODD and chance(2):
        more.append(rnd.choice(('memberOf: not a name', 'memberOf: CN=gone,' + BASE, 'memberOf: ' + dn)))
    if AD and not (ODD and chance(2)):
        more += ['tokenGroups:' + b64(account(1000 + g)) for g in closure(mine)] + ['tokenGroups:' + b64(account(515))]
    if ODD and chance(1):
        more = [m for m in more if not m.startswith('sAM')]
    entry(dn, rnd.choice(('computer', 'computer', 'computer', 'computer\nobjectClass: msDS-ManagedServiceAccount')) if ODD and chance(2) else 'computer', *more)
entry('CN=Domain Computers,CN=Users,' + BASE, 'group', 'objectSid:' + b64(account(515)), 'groupType: -2147483646')
for i in range(N_GROUPS):
    entry(group_dn(i), 'group', 'objectSid:' + b64(account(1000 + i)), 'groupType: %d' % (2 if i in plain else -2147483646), *['member: ' + m for m in members[i]])
sys.stdout.write('\n'.join(out))
