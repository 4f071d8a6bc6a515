#!/usr/bin/env python3
"""small_domain.py POLICY-LDIF-PROGRAM FILE.policy: the LDIF of a domain with one computer,
HOST1, one OU and one GPO that assigns the policy."""
import re
import subprocess
import sys

BASE = 'DC=corp,DC=example'
GPO = 'CN={9A9A9A9A-0000-4000-8000-000000000001},CN=Policies,CN=System,' + BASE
policy = re.search(r'policy (\{[0-9a-f-]+\})', open(sys.argv[2]).read()).group(1).upper()


def entry(dn, *lines):
    print('\n'.join(('dn: ' + dn,) + lines) + '\n')


entry(BASE, 'objectClass: domainDNS', 'dc: corp')
entry('OU=Servers,' + BASE, 'objectClass: organizationalUnit', 'gPLink: [LDAP://%s;0]' % GPO)
entry('CN=HOST1,OU=Servers,' + BASE, 'objectClass: computer', 'sAMAccountName: HOST1$')
for c in ('CN=System', 'CN=Policies,CN=System', 'CN=IP Security,CN=System'):
    entry('%s,%s' % (c, BASE), 'objectClass: container')
entry(GPO, 'objectClass: groupPolicyContainer', 'displayName: Servers', 'gPCFunctionalityVersion: 2', 'flags: 0', 'versionNumber: 1',
      'gPCMachineExtensionNames: [{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]')
entry('CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,' + GPO, 'objectClass: ipsecPolicy',
      'ipsecOwnersReference: CN=ipsecPolicy%s,CN=IP Security,CN=System,%s' % (policy, BASE))
sys.stdout.flush()
subprocess.run([sys.argv[1], sys.argv[2], 'CN=IP Security,CN=System,' + BASE], check=True)
