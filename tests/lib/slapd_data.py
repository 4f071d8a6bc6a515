#!/usr/bin/python3
"""slapd_data.py SAMBA-PROVISION.LDIF: a small domain for slapd, as LDIF, and after a line
"--" what is to be added by ldapadd (groups: slapadd computes no memberOf).

The policies are those that Microsoft ships with every domain, from Samba's provisioning data.
    domain          G1 respond
      OU=Servers    G2 request, for group outer only (HOST1 is in hosts, hosts in outer)
        OU=Web      G3 require, for a group HOST1 is not in;  HOST1
    site Branch     G4 request
"""
import base64
import re
import struct
import sys

B = 'DC=corp,DC=example'
DOMAIN_SID = (21, 1000, 2000, 3000)
APPLY = bytes.fromhex('8ffdacedb3ffd111b41d00a0c968f939')
CSE = '[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]'
POLICIES = {'request': '{72385230-70FA-11D1-864C-14A300000000}',
            'respond': '{72385236-70FA-11D1-864C-14A300000000}',
            'require': '{7238523C-70FA-11D1-864C-14A300000000}'}
IPS = 'CN=IP Security,CN=System,' + B
out = []


def sid(*subs):
    return struct.pack('<BB', 1, len(subs)) + b'\0\0\0\0\0\5' + struct.pack('<%dI' % len(subs), *subs)


def account(rid):
    return sid(*DOMAIN_SID, rid)


def descriptor(*applies):
    """Read for Authenticated Users, Apply Group Policy for the given SIDs."""
    aces = b''
    body = struct.pack('<I', 0x20094) + sid(11)
    aces += struct.pack('<BBH', 0, 2, 4 + len(body)) + body
    for s in applies:
        body = struct.pack('<II', 0x100, 1) + APPLY + s
        aces += struct.pack('<BBH', 5, 2, 4 + len(body)) + body
    acl = struct.pack('<BBHHH', 4, 0, 8 + len(aces), 1 + len(applies), 0) + aces
    return struct.pack('<BBHIIII', 1, 0, 0x8004, 0, 0, 0, 20) + acl


def entry(dn, *classes, **attrs):
    out.append('dn: ' + dn)
    for c in classes:
        out.append('objectClass: ' + c)
    for k, vs in attrs.items():
        for v in vs if isinstance(vs, list) else [vs]:
            if isinstance(v, bytes):
                out.append('%s:: %s' % (k, base64.b64encode(v).decode()))
            else:
                out.append('%s: %s' % (k, v))
    out.append('')


def gpo_dn(n):
    return 'CN={AAAAAAAA-0000-0000-0000-%012X},CN=Policies,CN=System,%s' % (n, B)


def gpo(n, name, policy, sd):
    dn = gpo_dn(n)
    entry(dn, 'groupPolicyContainer', cn=dn[3:41], displayName=name, flags='0', versionNumber='1',
          gPCFunctionalityVersion='2', gPCMachineExtensionNames=CSE, nTSecurityDescriptor=sd)
    for c in ('Machine', 'Microsoft', 'Windows'):
        dn = 'CN=%s,%s' % (c, dn)
        entry(dn, 'container', cn=c)
    entry('CN=IPSEC,' + dn, 'ipsecPolicy', cn='IPSEC', ipsecName=name,
          ipsecOwnersReference='CN=ipsecPolicy%s,%s' % (POLICIES[policy], IPS))


def provisioned(path):
    """The section of the example policies; slapd adds the superclasses itself."""
    text = open(path, encoding='utf-8').read()
    text = text[text.index('# IP security objects'):]
    for record in re.split(r'\n\n+', text):
        lines = [l for l in record.split('\n') if l and not l.startswith('#')]
        if not lines or 'CN=IP Security' not in lines[0]:
            if lines and 'CN=System' not in lines[0]:
                break
            continue
        for l in lines:
            if not re.match(r'(isCriticalSystemObject|systemFlags|objectClass: (top|ipsecBase)$|showInAdvancedViewOnly)', l):
                out.append(l.replace('${DOMAINDN}', B))
        out.append('')


def link(*links):
    return ''.join('[LDAP://%s;%d]' % (gpo_dn(n), o) for n, o in links)


entry(B, 'domainDNS', 'gpLinkTarget', dc='corp', gPLink=link((1, 0)))
for c in ('System', 'Users'):
    entry('CN=%s,%s' % (c, B), 'container', cn=c)
entry('CN=Policies,CN=System,' + B, 'container', cn='Policies')
entry('CN=Configuration,' + B, 'configuration', cn='Configuration')
entry('CN=Sites,CN=Configuration,' + B, 'sitesContainer', cn='Sites')
entry('CN=Subnets,CN=Sites,CN=Configuration,' + B, 'subnetContainer', cn='Subnets')
entry('CN=Branch,CN=Sites,CN=Configuration,' + B, 'site', cn='Branch', gPLink=link((4, 0)))
entry('CN=10.77.0.64/26,CN=Subnets,CN=Sites,CN=Configuration,' + B, 'subnet', cn='10.77.0.64/26',
      siteObject='CN=Branch,CN=Sites,CN=Configuration,' + B)
entry('OU=Servers,' + B, 'organizationalUnit', 'gpLinkTarget', ou='Servers', gPLink=link((2, 0)))
entry('OU=Web,OU=Servers,' + B, 'organizationalUnit', 'gpLinkTarget', ou='Web', gPLink=link((3, 0)))
entry('CN=HOST1,OU=Web,OU=Servers,' + B, 'computer', cn='HOST1', sAMAccountName='HOST1$', dNSHostName='host1.corp.example',
      userPassword='secret1', primaryGroupID='515', objectSid=account(1101))
gpo(1, 'domain respond', 'respond', descriptor(sid(11)))
gpo(2, 'servers request', 'request', descriptor(account(1202)))
gpo(3, 'web require', 'require', descriptor(account(1203)))
gpo(4, 'branch request', 'request', descriptor(sid(11)))
provisioned(sys.argv[1])
# More entries beside the policies than one page, and than the size limit, holds.
for i in range(1300):
    entry('CN=ipsecFilter{%08X-0000-0000-0000-000000000000},%s' % (i, IPS), 'ipsecFilter',
          cn='ipsecFilter{%08X-0000-0000-0000-000000000000}' % i, ipsecName='unused %d' % i)
out.append('--')
entry('CN=hosts,CN=Users,' + B, 'group', cn='hosts', objectSid=account(1201), member='CN=HOST1,OU=Web,OU=Servers,' + B)
entry('CN=outer,CN=Users,' + B, 'group', cn='outer', objectSid=account(1202), member='CN=hosts,CN=Users,' + B)
entry('CN=strangers,CN=Users,' + B, 'group', cn='strangers', objectSid=account(1203), member='CN=Users,' + B)
print('\n'.join(out))
