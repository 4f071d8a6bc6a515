#!/usr/bin/env python3
"""domain.py IPSECPOL POLICIES.netsh FOLDER: FOLDER/NAME.ldif for each section of POLICIES.netsh, a domain with
the computers HOSTA.. and one GPO that assigns the section's policy to them.  The policies are made by
`ipsecpol exec` in a store of their own and written by `static exportpolicy`."""
import os
import re
import shlex
import shutil
import subprocess
import sys

BASE = 'DC=corp,DC=example'
IPSEC = 'CN=IP Security,CN=System,' + BASE
GPO = 'CN={69000000-0000-4000-8000-000000000001},CN=Policies,CN=System,' + BASE
EXTENSION = '[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]'
HOSTS = 'ABGH'


def sections(text):
    """[(name, policy or None, other or None, [command...])]"""
    ret = []
    for line in text.split('\n'):
        if line.startswith('== '):
            w = shlex.split(line[3:])
            policy = w[2] if len(w) > 2 else None
            ret.append((w[0], policy, w[4] if len(w) > 4 else None, []))
        elif line.startswith('%'):
            count, command = line[1:].split(' ', 1)
            ret[-1][3].extend(command.format(high=i // 250, low=i % 250 + 1) for i in range(int(count)))
        elif line and not line.startswith('#'):
            ret[-1][3].append(line)
    return ret


def objects(program, folder, name, other, commands):
    """The store's objects as LDIF, with names that are relative to the domain's container."""
    work = os.path.join(folder, name + '.work')
    if other:
        shutil.copytree(os.path.join(folder, other + '.work'), work)
    os.makedirs(work + '/state', 0o700, exist_ok=True)
    with open(work + '/conf', 'w') as f:
        f.write('[directory]\nuri = ldif:/nonexistent\n[daemon]\nstate-dir = %s/state\nrun-dir = %s/run\n' % (work, work))
    with open(work + '/script', 'w') as f:
        f.write('\n'.join(['pushd ipsec static'] + commands + ['popd', '']))
    out = work + '/export.ldif'
    if os.path.exists(out):
        os.remove(out)
    for args in (['exec', work + '/script'], ['static', 'exportpolicy', 'file=' + out]):
        r = subprocess.run([program, '--config', work + '/conf'] + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode:
            sys.exit('%s: %s: %s' % (name, ' '.join(args), r.stdout))
    with open(out) as f:
        text = f.read().replace('\n ', '')
    return re.sub(r'CN=IP Security$', IPSEC, text, flags=re.M).replace('version: 1\n', '')


def entry(dn, *lines):
    return '\n'.join(('dn: ' + dn,) + lines) + '\n\n'


def domain(policy_dn, ldif):
    link = 'gPLink: [LDAP://%s;0]' % GPO
    text = entry(BASE, 'objectClass: domainDNS', 'dc: corp')
    text += entry('OU=Hosts,' + BASE, 'objectClass: organizationalUnit', *([link] if policy_dn else []))
    for h in HOSTS:
        text += entry('CN=HOST%s,OU=Hosts,%s' % (h, BASE), 'objectClass: computer', 'sAMAccountName: HOST%s$' % h)
    for c in ('CN=System', 'CN=Policies,CN=System', 'CN=IP Security,CN=System'):
        text += entry('%s,%s' % (c, BASE), 'objectClass: container')
    if policy_dn:
        text += entry(GPO, 'objectClass: groupPolicyContainer', 'displayName: Hosts', 'gPCFunctionalityVersion: 2', 'flags: 0',
                      'versionNumber: 1', 'gPCMachineExtensionNames: ' + EXTENSION)
        text += entry('CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,' + GPO, 'objectClass: ipsecPolicy',
                      'ipsecOwnersReference: ' + policy_dn)
    return text + ldif


def main(program, source, folder):
    for name, policy, other, commands in sections(open(source).read()):
        ldif, dn = '', None
        if policy:
            ldif = objects(program, folder, name, other, commands)
            for e in ldif.split('\n\n'):
                if '\nipsecName: %s\n' % policy in e + '\n' and '\nobjectClass: ipsecPolicy\n' in e:
                    dn = re.search(r'^dn: (.*)$', e, re.M).group(1)
            if not dn:
                sys.exit('%s: there is no policy %s' % (name, policy))
        with open(os.path.join(folder, name + '.ldif'), 'w') as f:
            f.write(domain(dn, ldif))
    for name in os.listdir(folder):
        if name.endswith('.work'):
            shutil.rmtree(os.path.join(folder, name))


if __name__ == '__main__':
    main(*sys.argv[1:])
