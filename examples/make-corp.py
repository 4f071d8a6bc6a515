#!/usr/bin/env python3
"""make-corp.py POLICY-LDIF-PROGRAM > corp.ldif: writes the example domain.

POLICY-LDIF-PROGRAM turns a policy text (examples/policies/*.policy) into its directory
objects: tests/policy_ldif of the build.  Run it again after a change to the policies:
  make -C build tests/policy_ldif && python3 examples/make-corp.py build/tests/policy_ldif > examples/corp.ldif
"""
import base64
import os
import re
import struct
import subprocess
import sys
import uuid

BASE = 'DC=corp,DC=example'
POLICIES = 'CN=Policies,CN=System,' + BASE
IPSEC = 'CN=IP Security,CN=System,' + BASE
CONFIG = 'CN=Configuration,' + BASE
EXTENSION = '[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]'
APPLY = uuid.UUID('edacfd8f-ffb3-11d1-b41d-00a0c968f939')
DOMAIN_SID = (21, 1004336348, 1177238915, 682003330)
HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL_ACCESS, READ = 0x100, 0x20094


def sid(*sub):
    return struct.pack('BB', 1, len(sub)) + struct.pack('>Q', 5)[2:] + struct.pack('<%dI' % len(sub), *sub)


def domain_sid(rid):
    return sid(*DOMAIN_SID, rid)


AUTHENTICATED_USERS = sid(11)


def ace(kind, mask, who, right=None):
    body = struct.pack('<I', mask)
    if right:
        body += struct.pack('<I', 1) + right.bytes_le
    body += who
    return struct.pack('<BBH', kind, 0, 4 + len(body)) + body


def descriptor(*aces):
    """Self-relative, DACL alone [MS-DTYP] 2.4.6."""
    acl = b''.join(aces)
    acl = struct.pack('<BBHHH', 4, 0, 8 + len(acl), len(aces), 0) + acl
    return struct.pack('<BBHIIII', 1, 0, 0x8004, 0, 0, 0, 20) + acl


def may_apply(who):
    return descriptor(ace(0, READ, AUTHENTICATED_USERS), ace(5, CONTROL_ACCESS, who, APPLY))


def entry(dn, *classes, **attrs):
    print('dn: ' + dn)
    for c in classes:
        print('objectClass: ' + c)
    rdn, value = dn.split(',')[0].split('=')
    if rdn in ('CN', 'OU'):
        print('%s: %s' % (rdn.lower(), value))
    for name, values in attrs.items():
        for v in values if isinstance(values, list) else [values]:
            if isinstance(v, bytes):
                print('%s:: %s' % (name, base64.b64encode(v).decode()))
            else:
                print('%s: %s' % (name, v))
    print()


def guid(n):
    return '{%08X-6900-4000-8000-%012X}' % (n * 2654435761 & 0xffffffff, n)


def gpo(n, name, policy=None, who=AUTHENTICATED_USERS, **attrs):
    dn = 'CN=%s,%s' % (guid(n), POLICIES)
    if policy:
        attrs['gPCMachineExtensionNames'] = EXTENSION
    a = dict(displayName=name, flags='0', versionNumber='1', gPCFunctionalityVersion='2',
             nTSecurityDescriptor=may_apply(who))
    a.update(attrs)
    entry(dn, 'container', 'groupPolicyContainer', **a)
    if not policy:
        return
    for c in ('CN=Machine', 'CN=Microsoft', 'CN=Windows'):
        dn = c + ',' + dn
        entry(dn, 'container')
    entry('CN=IPSEC,' + dn, 'ipsecPolicy', ipsecName=name, ipsecOwnersReference='CN=ipsecPolicy%s,%s' % (policy, IPSEC))


def links(*gpos):
    return ''.join('[LDAP://CN=%s,%s;%d]' % (guid(n), POLICIES, options) for n, options in gpos)


def policy_id(name):
    with open(os.path.join(HERE, 'policies', name + '.policy')) as f:
        return re.search(r'\{[0-9a-f-]{36}\}', f.read()).group(0).upper()


def main():
    program = sys.argv[1]
    names = ('baseline', 'web', 'database', 'workstation')
    pid = {n: policy_id(n) for n in names}
    print('# An example domain, corp.example: OUs, computers, groups, GPOs and IPsec policies.\n'
          '# Written by examples/make-corp.py from examples/policies/.\n')
    print('dn:\nobjectClass: top\ndefaultNamingContext: %s\nconfigurationNamingContext: %s\n' % (BASE, CONFIG))
    entry(BASE, 'domainDNS', dc='corp', objectSid=sid(*DOMAIN_SID), gPLink=links((1, 0), (2, 0)))
    for c in ('System', 'Computers', 'Users'):
        entry('CN=%s,%s' % (c, BASE), 'container')
    entry(POLICIES, 'container')
    entry(IPSEC, 'container')
    # The last link of an OU is its strongest.
    entry('OU=Servers,' + BASE, 'organizationalUnit', gPLink=links((3, 0)))
    entry('OU=Web,OU=Servers,' + BASE, 'organizationalUnit', gPLink=links((4, 0), (5, 0), (6, 1), (7, 0), (8, 0)))
    entry('OU=Databases,OU=Servers,' + BASE, 'organizationalUnit', gPLink=links((9, 0)), gPOptions='1')
    entry('OU=Workstations,' + BASE, 'organizationalUnit', gPLink=links((10, 0)))
    entry('OU=Lab,OU=Workstations,' + BASE, 'organizationalUnit', gPOptions='1')
    for name, where, rid in (('WEB1', 'OU=Web,OU=Servers', 1101), ('WEB2', 'OU=Web,OU=Servers', 1102),
                             ('DB1', 'OU=Databases,OU=Servers', 1103), ('WS1', 'OU=Workstations', 1104),
                             ('LAB1', 'OU=Lab,OU=Workstations', 1105), ('KIOSK1', 'CN=Computers', 1106)):
        entry('CN=%s,%s,%s' % (name, where, BASE), 'computer', sAMAccountName=name + '$',
              dNSHostName=name.lower() + '.corp.example', objectSid=domain_sid(rid), primaryGroupID='515')
    entry('CN=ipsec-pilot,CN=Users,' + BASE, 'group', sAMAccountName='ipsec-pilot', objectSid=domain_sid(1201),
          member='CN=WEB2,OU=Web,OU=Servers,' + BASE)
    gpo(1, 'Default Domain Policy')
    gpo(2, 'IPsec baseline', pid['baseline'])
    gpo(3, 'IPsec servers', pid['database'])
    gpo(4, 'IPsec web servers', pid['web'])
    gpo(5, 'IPsec web pilot', pid['database'], who=domain_sid(1201))
    gpo(6, 'IPsec web, old', pid['baseline'])
    gpo(7, 'IPsec web, computer half off', pid['baseline'], flags='2')
    gpo(8, 'IPsec for Windows only', pid['baseline'], gPCWQLFilter='[corp.example;%s;0]' % guid(99))
    gpo(9, 'IPsec databases', pid['database'])
    gpo(10, 'IPsec workstations', pid['workstation'])
    gpo(11, 'IPsec branch office', pid['workstation'])
    entry(CONFIG, 'configuration')
    entry('CN=Sites,' + CONFIG, 'sitesContainer')
    entry('CN=Subnets,CN=Sites,' + CONFIG, 'subnetContainer')
    entry('CN=Branch,CN=Sites,' + CONFIG, 'site', gPLink=links((11, 0)))
    entry('CN=10.77.64.0/24,CN=Subnets,CN=Sites,' + CONFIG, 'subnet', siteObject='CN=Branch,CN=Sites,' + CONFIG)
    for n in names:
        sys.stdout.flush()
        subprocess.run([program, os.path.join(HERE, 'policies', n + '.policy'), IPSEC], check=True)


main()
